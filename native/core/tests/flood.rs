//! Early messages that nobody can judge yet: anybody can send them, and they must not keep anything genuine away.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Ignored, Unreadable, What};
use conclave_core::limits::MAX_BUFFERED;
use support::{Client, client, team, texts};

/// Messages of alice's next epoch that she never sent: the frame of a genuine one around noise.
fn forged(genuine: &[u8], count: u32) -> Vec<Vec<u8>> {
    let forge = |number: u32| {
        let mut message = genuine.to_vec();
        let end = message.len();
        message[end - 4..].copy_from_slice(&number.to_be_bytes());
        message
    };
    (0..count).map(forge).collect()
}

fn receive(client: &mut Client, messages: &[Vec<u8>]) -> Vec<What> {
    let receipt = client
        .step(|session| session.receive(messages, &ReceiveOptions::default()))
        .expect("receiving is never an error");
    receipt.received.into_iter().map(|received| received.what).collect()
}

#[test]
fn ten_thousand_forged_messages_do_not_keep_the_commit_or_what_follows_it_away() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let commit = alice.commit(Request::update()).commit;
    let flood = forged(&alice.send("genuine"), 10_000);
    let (mut waiting, mut evicted) = (0, 0);
    for part in flood.chunks(500) {
        for what in receive(&mut bob, part) {
            match what {
                What::Waiting { count, .. } => {
                    assert!(count <= MAX_BUFFERED);
                    waiting += 1;
                }
                What::Unreadable(Unreadable::Evicted) => evicted += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!((waiting, evicted), (10_000, 10_000 - MAX_BUFFERED));

    let genuine = alice.send("after the flood");
    let told = receive(&mut bob, &[genuine, commit]);
    let rejected = told.iter().filter(|what| matches!(what, What::Rejected(..))).count();
    assert_eq!(
        rejected,
        MAX_BUFFERED - 1,
        "what waited is judged, and the genuine message is among it"
    );
    assert!(told.iter().any(|what| matches!(what, What::Commit { own: false, .. })));
    assert!(told.iter().any(|what| matches!(what, What::Message { .. })));
    assert_eq!(bob.authenticator(), alice.authenticator());
    let next = alice.send("next");
    assert_eq!(bob.read(&[&next]), ["next"]);
}

#[test]
fn a_message_that_made_way_can_be_delivered_again() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let first = alice.commit(Request::update()).commit;
    let genuine = alice.send("one");
    bob.receive(&[&genuine]);
    receive(
        &mut bob,
        &forged(&genuine, u32::try_from(MAX_BUFFERED).expect("small") + 5),
    );
    let receipt = bob.receipt(&[&first]);
    assert!(
        texts(&receipt.received).is_empty(),
        "the oldest has made way, which was told"
    );
    let told = receive(&mut bob, &[genuine]);
    assert!(
        matches!(told[0], What::Message { .. }),
        "and can be delivered again: {told:?}"
    );
    let again = alice.send("two");
    assert_eq!(bob.read(&[&again]), ["two"]);
    assert!(matches!(bob.receive(&[&again])[0], What::Ignored(Ignored::Duplicate)));
}
