//! Which of the server's files may speak SQL, and which the contract's types.

use super::Violation;
use super::source::Source;

/// Where the server's modules lie.
const FOLDER: &str = "server/src/";

/// Signs of a statement.
const SQL: [&str; 7] =
    ["sqlx::query", "query!(", "query_as!(", "query_scalar!(", "query_file", "raw_sql", "QueryBuilder"];

/// SQL stands in a slice's store, and where a way of the design goes through the database: jobs, the proof of access, the
/// writer, the poll, and the pool's own statements.
pub(super) fn sql(sources: &[Source]) -> Vec<Violation> {
    let allowed = |inside: &str| {
        inside.ends_with("/store.rs")
            || inside.starts_with("jobs/")
            || inside.starts_with("messages/writer/")
            || ["access/room.rs", "messages/writer.rs", "realtime/poll.rs", "database.rs"].contains(&inside)
    };
    search(sources, &SQL, allowed, "SQL belongs into a store.rs")
}

/// The contract's types are known where they are turned into ours, and nowhere else.
pub(super) fn proto(sources: &[Source]) -> Vec<Violation> {
    let allowed = |inside: &str| {
        inside.ends_with("/wire.rs")
            || inside.ends_with("/service.rs")
            || inside.starts_with("rpc/")
            || inside.starts_with("sync/")
            || inside.starts_with("admin/")
            || inside.starts_with("access/")
            || inside == "error.rs"
    };
    search(sources, &["madang_proto::"], allowed, "the contract's types belong into wire.rs and service.rs")
}

fn search(sources: &[Source], signs: &[&str], allowed: impl Fn(&str) -> bool, what: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let Some(inside) = source.path.strip_prefix(FOLDER) else { continue };
        if allowed(inside) {
            continue;
        }
        for (number, line) in source.code().lines().enumerate() {
            if signs.iter().any(|sign| line.contains(sign)) {
                found.push(Violation { path: source.path.clone(), line: number + 1, what: what.to_owned() });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_outside_a_store_is_found() {
        let statement = "\nlet a = sqlx::query_as!(Room, \"select 1\");";
        let at = |path| sql(&[Source::new(path, statement)]).len();
        assert_eq!(
            (at("server/src/rooms/store.rs"), at("server/src/jobs/queue.rs"), at("tests/src/lib.rs")),
            (0, 0, 0)
        );
        assert_eq!(
            (at("server/src/rooms/service.rs"), at("server/src/realtime/hub/mod.rs"), at("server/src/store.rs")),
            (1, 1, 1)
        );
    }

    #[test]
    fn the_contract_outside_its_places_is_found() {
        let line = "use madang_proto::v1::Room;";
        let at = |path| proto(&[Source::new(path, line)]).len();
        assert_eq!(
            (at("server/src/rooms/wire.rs"), at("server/src/sync/frames.rs"), at("server/src/access/room.rs")),
            (0, 0, 0)
        );
        assert_eq!((at("server/src/rooms/room.rs"), at("server/src/realtime/hub/mod.rs")), (1, 1));
    }
}
