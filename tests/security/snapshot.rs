//! Who may call what, as a committed page: a change of it is a line that somebody reads.

use std::{fmt::Write as _, path::Path};

use madang_proto::{
    MethodPolicy, POLICIES,
    v1::{Idempotency, RateClass, Role, RoomPermission},
};

/// Set it to write the page anew.
const WRITE: &str = "MADANG_TEST_WRITE";

fn line(policy: &MethodPolicy) -> String {
    let roles: Vec<&str> = policy.roles.iter().map(|role| role_name(*role)).collect();
    let who = if policy.public { "everybody".to_owned() } else { roles.join("|") };
    let room = match policy.room_permission {
        RoomPermission::Unspecified => "-",
        permission => permission.as_str_name().trim_start_matches("ROOM_PERMISSION_"),
    };
    let rate = match policy.rate_class {
        RateClass::Unspecified => "-",
        class => class.as_str_name().trim_start_matches("RATE_CLASS_"),
    };
    let flags = [(policy.guests, "guests"), (policy.audit, "audit"), (policy.streams, "streams")];
    let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    let flags = if flags.is_empty() { "-".to_owned() } else { flags.join("|") };
    let repeated = idempotency_name(policy.idempotency);
    format!("{} who={who} room={room} rate={rate} repeated={repeated} flags={flags}", policy.path)
}

fn role_name(role: Role) -> &'static str {
    role.as_str_name().trim_start_matches("ROLE_")
}

fn idempotency_name(idempotency: Idempotency) -> &'static str {
    idempotency.as_str_name().trim_start_matches("IDEMPOTENCY_")
}

#[test]
fn the_access_table_is_the_committed_one() {
    let mut page = "# Who may call what. Written by MADANG_TEST_WRITE=1 cargo xtask test security; read every line that changes.\n".to_owned();
    for policy in POLICIES {
        let _ = writeln!(page, "{}", line(policy));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("security/access.snap.txt");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &page).expect("the page is written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let (now, then): (Vec<&str>, Vec<&str>) = (page.lines().collect(), committed.lines().collect());
    let new: Vec<_> = now.iter().filter(|line| !then.contains(line)).collect();
    let gone: Vec<_> = then.iter().filter(|line| !now.contains(line)).collect();
    assert!(page == committed, "the access table changed ({WRITE}=1 writes it)\nnew: {new:#?}\ngone: {gone:#?}");
}

#[test]
fn nothing_is_open_to_guests_or_without_a_role_by_accident() {
    for policy in POLICIES {
        assert!(!policy.guests, "{}: there are no guests yet", policy.path);
        assert_eq!(policy.public, policy.roles.is_empty(), "{}", policy.path);
        assert!(!policy.roles.contains(&Role::Unspecified), "{}", policy.path);
        let admin_only = policy.roles == [Role::SystemAdmin];
        assert_eq!(admin_only, ["RevokeUserSessions", "Explain"].contains(&policy.method), "{}", policy.path);
        // What nobody could be held to account for, or nobody could be kept from doing too often.
        assert!(policy.rate_class != RateClass::Unspecified, "{}", policy.path);
        assert!(!admin_only || policy.audit, "{}: what an admin does is audited", policy.path);
    }
}
