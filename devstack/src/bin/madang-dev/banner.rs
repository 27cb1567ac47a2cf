//! What somebody sees when all is up.

use std::path::Path;

use crate::ready::Ready;

/// Prints addresses, people, and what to type next.
pub(crate) fn print(ready: &Ready, has_page: bool, admin: std::net::SocketAddr, log: &Path, control: &Path) {
    let (grpc, issuer) = (&ready.grpc, &ready.issuer);
    println!("\nMadang is up. Ctrl-C stops all of it; the data stays (--fresh starts anew).\n");
    println!("  server    {grpc}    gRPC and gRPC-web");
    for other in ready.nodes.iter().skip(1) {
        println!("  server    {other}    on the same database");
    }
    println!("  sign-in   {issuer}");
    println!("  metrics   http://{admin}/metrics");
    println!("  database  {}", ready.database_url);
    println!("  log       {}\n", log.display());
    println!("  people    login      password          roles");
    for person in &ready.people {
        println!("            {:<10} {:<17} {}", person.login, person.password, person.roles.join(", "));
    }
    if has_page {
        println!("\nChat, in two windows, one of them private: {}/", ready.web);
    }
    if ready.takes_passwords {
        println!("\nChat, in two more terminals:\n");
        println!("  cargo run -q -p madang-terminal -- --as ann");
        println!("  cargo run -q -p madang-terminal -- --as bob");
        if ready.nodes.len() > 1 {
            println!("  cargo run -q -p madang-terminal -- --as cat --node 2");
        }
    }
    println!("\nWhy did bob not get it? Ask the server:\n");
    println!("  cargo run -q -p madang-server -- explain --socket {} room ROOM --for bob", control.display());
    if ready.takes_passwords {
        by_hand(ready);
    }
    println!();
}

fn by_hand(ready: &Ready) {
    let Ready { issuer, client_id, .. } = ready;
    println!("\nOr by hand:\n");
    println!("  TOKEN=$(curl -s {issuer}/protocol/openid-connect/token -d grant_type=password \\");
    println!(
        "    -d client_id={client_id} -d username=ann -d password=ann | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
    );
    println!("  grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" \\");
    println!("    -H \"madang-device-id: 0190a5d0-ac96-774b-bcce-b302099a8057\" \\");
    println!("    {} madang.v1.IdentityService/GetMe", ready.grpc.trim_start_matches("http://"));
}
