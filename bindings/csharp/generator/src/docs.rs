//! Doc comments, as XML.

use crate::text::Text;

/// The comment of an item: its first paragraph is the summary, the rest are remarks.
pub(crate) fn write(text: &mut Text, comment: Option<&str>) {
    let Some(comment) = comment.map(str::trim).filter(|comment| !comment.is_empty()) else { return };
    let (summary, remarks) = comment.split_once("\n\n").unwrap_or((comment, ""));
    element(text, "summary", summary);
    if !remarks.trim().is_empty() {
        element(text, "remarks", remarks);
    }
}

fn element(text: &mut Text, name: &str, content: &str) {
    let lines: Vec<String> = content.trim().lines().map(|line| xml(line.trim())).collect();
    if let [line] = lines.as_slice() {
        text.line(&format!("/// <{name}>{line}</{name}>"));
        return;
    }
    text.line(&format!("/// <{name}>"));
    for line in &lines {
        text.line(&format!("/// {line}"));
    }
    text.line(&format!("/// </{name}>"));
}

/// Markup that would be read as XML is escaped; what stands between backticks is code.
fn xml(line: &str) -> String {
    let line = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let parts: Vec<&str> = line.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return line;
    }
    let part = |(at, part): (usize, &&str)| if at % 2 == 1 { format!("<c>{part}</c>") } else { (*part).to_owned() };
    parts.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_becomes_xml() {
        let mut text = Text::default();
        write(&mut text, Some("Holds `a < b`.\n\nMore &\nmore."));
        let lines =
            "/// <summary>Holds <c>a &lt; b</c>.</summary>\n/// <remarks>\n/// More &amp;\n/// more.\n/// </remarks>\n";
        assert_eq!(text.into_string(), lines);
    }
}
