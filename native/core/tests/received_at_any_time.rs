//! Receiving does not ask the clock: what was added by a key package whose time is over here, or has not begun, is added here too.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::received::What;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, team};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// How many milliseconds the clocks of those who add are away from the machine's, which bob goes by.
const APART: [i64; 2] = [-200 * DAY, 200 * DAY];

fn sets_clock(client: &mut Client, apart: i64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let now = i64::try_from(now.as_millis()).expect("not for long times");
    client
        .session
        .set_time(Some(u64::try_from(now + apart).expect("it is after 1970")));
}

#[test]
fn a_commit_that_adds_somebody() {
    for apart in APART {
        let (mut bob, mut carol) = (client("bob"), client("carol"));
        let mut alice = team(&mut [&mut bob]);
        sets_clock(&mut alice, apart);
        sets_clock(&mut carol, apart);
        let commit = alice.commit(Request::add(vec![carol.invitee()]));
        let told = bob.receive(&[&commit.commit]);
        assert!(matches!(told[..], [What::Commit { .. }]), "{told:?}");
        carol.join(&commit);
        let hello = carol.send("hello");
        assert_eq!(bob.read(&[&hello]), ["hello"]);
        let update = bob.commit(Request::update());
        for member in [&mut alice, &mut carol] {
            member.receive(&[&update.commit]);
            assert_eq!(member.authenticator(), bob.authenticator());
        }
    }
}

#[test]
fn a_proposal_to_add_somebody_and_the_commit_that_names_it() {
    for apart in APART {
        let (mut bob, mut carol) = (client("bob"), client("carol"));
        let mut alice = team(&mut [&mut bob]);
        let mut frank = Foreigner::of("frank");
        let invitation = alice.commit(Request::add(vec![frank.invitee()]));
        frank.join(&invitation);
        bob.receive(&[&invitation.commit]);
        sets_clock(&mut alice, apart);
        sets_clock(&mut carol, apart);
        let proposal = frank.propose_add(&carol.invitee());
        for member in [&mut alice, &mut bob] {
            let told = member.receive(&[&proposal]);
            assert!(matches!(told[..], [What::Proposal { .. }]), "{told:?}");
        }
        // By bob's clock nobody is to be added by it, by alice's it is good: what she commits counts for both.
        let by_bob = bob.stage(Request::pending());
        assert!(by_bob.change.added.is_empty());
        bob.step(|session| session.clear_commit(TEAM, &by_bob.commit_id))
            .expect("it is open");
        let commit = alice.commit(Request::pending());
        assert_eq!(commit.change.added.len(), 1);
        bob.receive(&[&commit.commit]);
        frank.receive(&[&commit.commit]);
        carol.join(&commit);
        assert_eq!(bob.authenticator(), alice.authenticator());
        assert_eq!(frank.authenticator(), carol.authenticator());
    }
}
