//! What waits has bounds, and who fills the room of one sender takes none of another.

mod support;

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Received, Unreadable, WaitingFor, What};
use conclave_core::limits::{
    MAX_BUFFERED, MAX_BUFFERED_BY_ONE, MAX_BUFFERED_BYTES, MAX_BUFFERED_OF_STRANGERS, MAX_BUFFERED_STRANGER,
    MAX_BUFFERED_STRANGERS,
};
use support::foreign::Foreigner;
use support::{Client, TEAM, client, founded, team, texts};

fn vector(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("small");
    let head = match length {
        0..0x40 => length.to_be_bytes()[3..].to_vec(),
        0x40..0x4000 => (0x4000 | length).to_be_bytes()[2..].to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    [head, bytes.to_vec()].concat()
}

/// A PrivateMessage of epoch 7 that nobody can judge, with so many bytes of ciphertext.
fn noise(conversation: &str, salt: u32, size: usize) -> Vec<u8> {
    let mut ciphertext = vec![0; size];
    ciphertext[..4].copy_from_slice(&salt.to_be_bytes());
    [
        &[0, 1, 0, 2][..],
        &vector(conversation.as_bytes()),
        &7u64.to_be_bytes(),
        &[1],
        &vector(b""),
        &vector(&[0; 28]),
        &vector(&ciphertext),
    ]
    .concat()
}

fn receive(client: &mut Client, messages: &[Vec<u8>]) -> Vec<Received> {
    let received = client.step(|session| session.receive(messages, &ReceiveOptions::default()));
    received.expect("receiving is never an error").received
}

fn is_evicted(received: &Received) -> bool {
    matches!(received.what, What::Unreadable(Unreadable::Evicted))
}

fn is_waiting(received: &Received) -> bool {
    matches!(received.what, What::Waiting { .. })
}

/// How many messages wait for a conversation, as one more of them tells, which waits from then on.
fn waiting_for(client: &mut Client, conversation: &str) -> usize {
    let told = receive(client, &[noise(conversation, u32::MAX, 40)]);
    match told[0].what {
        What::Waiting { count, .. } => count - 1,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_message_that_is_larger_than_its_room_is_never_kept_and_nothing_makes_way_for_it() {
    let mut bob = client("bob");
    let small: Vec<_> = (0..100).map(|salt| noise("soon", salt, 100)).collect();
    assert!(receive(&mut bob, &small).iter().all(is_waiting));
    let told = receive(&mut bob, &[noise("soon", 100, MAX_BUFFERED_STRANGER)]);
    assert!(told.len() == 1 && is_evicted(&told[0]), "{told:?}");
    assert_eq!(waiting_for(&mut bob, "soon"), 100);

    let mut alice = team(&mut [&mut bob]);
    let commit = alice.commit(Request::update()).commit;
    let early = alice.send("early");
    assert!(receive(&mut bob, &[early]).iter().all(is_waiting));
    let told = receive(&mut bob, &[noise("team", 1, MAX_BUFFERED_BYTES)]);
    assert!(told.len() == 1 && is_evicted(&told[0]), "{told:?}");
    assert_eq!(texts(&receive(&mut bob, &[commit])), ["early"]);
}

#[test]
fn a_message_is_told_before_what_makes_way_for_it() {
    let mut bob = client("bob");
    let count = u32::try_from(MAX_BUFFERED).expect("small");
    let filling: Vec<_> = (0..count).map(|salt| noise("soon", salt, 40)).collect();
    let first = receive(&mut bob, &filling)[0].message_id;
    let told = receive(&mut bob, &[noise("soon", count, 40)]);
    assert_eq!(told.len(), 2);
    assert!(
        matches!(told[0].what, What::Waiting { count, .. } if count == MAX_BUFFERED),
        "{told:?}"
    );
    assert!(is_evicted(&told[1]) && told[1].message_id == first, "{told:?}");
    assert_eq!(told[1].conversation_id.as_deref(), Some(&b"soon"[..]));
}

#[test]
fn what_comes_again_while_it_waits_takes_no_more_room() {
    let mut bob = client("bob");
    let message = noise("soon", 1, 40);
    receive(&mut bob, &[message.clone(), noise("soon", 2, 40)]);
    let told = receive(&mut bob, &[message.clone(), message]);
    assert!(
        told.iter()
            .all(|one| matches!(one.what, What::Waiting { count: 2, .. })),
        "{told:?}"
    );
}

#[test]
fn all_strangers_have_one_share_and_the_one_who_fills_it_loses() {
    let mut bob = client("bob");
    let genuine: Vec<_> = (0..20).map(|salt| noise("genuine", salt, 200)).collect();
    assert!(receive(&mut bob, &genuine).iter().all(is_waiting));
    let each = u32::try_from(MAX_BUFFERED).expect("small");
    let mut waiting = 0usize;
    let mut evicted = 0usize;
    for stranger in 0..14 {
        let messages: Vec<_> = (0..each).map(|salt| noise(&format!("s{stranger}"), salt, 40)).collect();
        for told in receive(&mut bob, &messages) {
            assert_ne!(told.conversation_id.as_deref(), Some(&b"genuine"[..]), "{told:?}");
            waiting += usize::from(is_waiting(&told));
            evicted += usize::from(is_evicted(&told));
        }
    }
    assert_eq!(waiting, 14 * MAX_BUFFERED);
    assert_eq!(20 + waiting - evicted, MAX_BUFFERED_OF_STRANGERS);
    assert_eq!(waiting_for(&mut bob, "genuine"), 20);
}

#[test]
fn messages_wait_for_so_many_strangers_and_the_longest_waiting_makes_way_for_one_more() {
    let mut bob = client("bob");
    let of_stranger = |stranger: usize| noise(&format!("s{stranger}"), 0, 40);
    for stranger in 0..MAX_BUFFERED_STRANGERS {
        let told = receive(&mut bob, &[of_stranger(stranger)]);
        assert!(told.len() == 1 && is_waiting(&told[0]), "{told:?}");
    }
    let told = receive(&mut bob, &[of_stranger(MAX_BUFFERED_STRANGERS)]);
    assert_eq!(told.len(), 2);
    assert!(is_waiting(&told[0]) && is_evicted(&told[1]), "{told:?}");
}

#[test]
fn what_waited_for_a_welcome_counts_no_more_among_strangers_once_it_is_joined() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let (mut alice, founding) = founded(&mut [&mut bob, &mut carol], false);
    let text = alice.send("before the Welcome");
    let commit = alice.commit(Request::update()).commit;
    let later = alice.send("after the commit");
    assert!(receive(&mut bob, &[text, later]).iter().all(is_waiting));
    let welcome = founding.welcome.clone().expect("bob is added");
    let joined = bob.step(|session| session.join_by_welcome(&welcome, false));
    assert_eq!(texts(&joined.expect("it is good").received), ["before the Welcome"]);
    // As many strangers as there is room for: the message of the team is none of theirs.
    for stranger in 0..=MAX_BUFFERED_STRANGERS {
        for told in receive(&mut bob, &[noise(&format!("s{stranger}"), 0, 40)]) {
            assert_ne!(told.conversation_id.as_deref(), Some(TEAM), "{told:?}");
        }
    }
    assert_eq!(texts(&receive(&mut bob, &[commit])), ["after the commit"]);
}

#[test]
fn a_member_that_fills_its_share_of_the_buffer_takes_no_room_of_another() {
    let mut bob = client("bob");
    let (mut mallory, mut frank) = (Foreigner::of("mallory"), Foreigner::of("frank"));
    let mut alice = client("alice");
    let credential = alice.credential.clone();
    let invitees = vec![bob.invitee(), mallory.invitee(), frank.invitee()];
    let founding = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, false))
        .expect("it can be founded");
    alice.merge(&founding);
    bob.join(&founding);
    mallory.join(&founding);
    frank.join(&founding);

    let of_frank = frank.commit_of_unseen();
    let told = receive(&mut bob, std::slice::from_ref(&of_frank));
    assert!(
        matches!(
            told[0].what,
            What::Waiting {
                on: WaitingFor::Proposal,
                ..
            }
        ),
        "{told:?}"
    );
    let early = receive(&mut bob, &[noise("team", 1, 40)]);
    assert!(early.iter().all(is_waiting));

    let mut of_mallory = Vec::new();
    let mut evicted = Vec::new();
    for _ in 0..MAX_BUFFERED_BY_ONE + 5 {
        let told = receive(&mut bob, &[mallory.commit_of_unseen()]);
        assert!(is_waiting(&told[0]), "{told:?}");
        of_mallory.push(told[0].message_id);
        evicted.extend(told[1..].iter().filter(|one| is_evicted(one)).map(|one| one.message_id));
    }
    assert_eq!(
        evicted,
        of_mallory[..5],
        "its own oldest make way, and nothing of the others"
    );
    assert_eq!(waiting_for(&mut bob, "team"), MAX_BUFFERED_BY_ONE + 2);
}

#[test]
fn nothing_is_counted_that_was_wiped_or_received() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let commit = alice.commit(Request::update()).commit;
    let early: Vec<_> = (0..5).map(|_| alice.send("early")).collect();
    assert!(receive(&mut bob, &early).iter().all(is_waiting));
    receive(&mut bob, &[commit]);
    assert_eq!(waiting_for(&mut bob, "team"), 0);
    bob.step(|session| session.wipe(TEAM)).expect("it can be wiped");
    assert_eq!(waiting_for(&mut bob, "team"), 0);
}
