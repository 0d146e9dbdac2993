//! What OpenMLS alone needs for the operations of `npm run bench`: with the cryptography and the settings of the core, and with
//! OpenMLS' own storage in memory; no keystore, no Node. The bench starts it and measures both in turns.
//!
//! `cargo run --release -p bare-openmls -- <members>` makes a group of so many and answers each line of its input, the name of an
//! operation, with a line of JSON: how many microseconds it took, or each of 100 messages.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that measures and prints"
)]

mod client;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the same file in the core, where more of it is used"
)]
#[path = "../../core/src/limits.rs"]
mod limits;
mod team;

use std::io::stdin;

use team::Team;

fn main() {
    let members = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let Some(members) = members.filter(|count| *count >= 2) else {
        return println!("{{\"error\":\"Say how many members the group has: 2 or more.\"}}");
    };
    let mut team = Team::of(members);
    println!("{{\"members\":{members}}}");
    for line in stdin().lines() {
        let micros = match line.unwrap().as_str() {
            "keyPackages" => team.key_packages(),
            "add" => team.add(),
            "join" => team.join(),
            "encrypt" => team.encrypt(),
            "receive" => team.receive(),
            "update" => team.update(),
            "process" => team.process(),
            other => {
                println!("{{\"error\":{other:?}}}");
                continue;
            }
        };
        println!("{{\"micros\":{micros:.2}}}");
    }
}
