//! Names, as C# writes them.

use heck::{ToLowerCamelCase as _, ToUpperCamelCase as _};

/// Words that are no names.
const KEYWORDS: &str = " abstract as base bool break byte case catch char checked class const continue decimal default delegate \
    do double else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface \
    internal is lock long namespace new null object operator out override params private protected public readonly ref \
    return sbyte sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong \
    unchecked unsafe ushort using virtual void volatile while ";

/// A type, a member of one, or a case.
pub(crate) fn upper(name: &str) -> String {
    name.to_upper_camel_case()
}

/// An argument.
pub(crate) fn argument(name: &str) -> String {
    let name = name.to_lower_camel_case();
    if KEYWORDS.contains(&format!(" {name} ")) { format!("@{name}") } else { name }
}

/// A field, which may have no name. No member may be called as the type it is in.
pub(crate) fn field(name: &str, index: usize, alone: bool, inside: &str) -> String {
    let name = match (name.is_empty(), alone) {
        (true, true) => "value".to_owned(),
        (true, false) => format!("value{index}"),
        (false, _) => name.to_owned(),
    };
    if upper(&name) == inside { format!("{name}_value") } else { name }
}

/// What is thrown.
pub(crate) fn exception(name: &str) -> String {
    format!("{}Exception", upper(name.strip_suffix("Error").unwrap_or(name)))
}

/// What the host implements.
pub(crate) fn interface(name: &str) -> String {
    format!("I{}", upper(name))
}
