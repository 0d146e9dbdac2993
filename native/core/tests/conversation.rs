//! Conversations from creation to removal.

mod support;

use conclave_core::conversation::commit::{MergeOutcome, Request};
use conclave_core::conversation::intent::Invitee;
use conclave_core::conversation::receive::ReceiveOptions;
use conclave_core::conversation::received::{Ignored, Unreadable, WaitingFor, What};
use conclave_core::credential::Credential;
use conclave_core::error::Code;
use support::{TEAM, client, client_with, pair, team};

#[test]
fn alice_creates_the_team_and_everybody_reads_everybody() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    assert_eq!(alice.member_names(), ["alice", "bob", "carol"]);
    assert_eq!(alice.authenticator(), bob.authenticator());
    let hello = alice.send("hello");
    assert_eq!(bob.read(&[&hello]), ["hello"]);
    assert_eq!(carol.read(&[&hello]), ["hello"]);
    let hi = bob.send("hi");
    assert_eq!(alice.read(&[&hi]), ["hi"]);
}

#[test]
fn every_cipher_suite_carries_a_conversation() {
    for suite in 1..=3 {
        let (mut alice, mut bob) = pair(suite);
        let hello = alice.send("hello");
        assert_eq!(bob.read(&[&hello]), ["hello"], "suite {suite}");
    }
}

#[test]
fn nothing_can_be_sent_before_the_founding_commit_is_accepted_and_refused_it_leaves_nothing() {
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    let credential = alice.credential.clone();
    let invitees = vec![bob.invitee()];
    let staged = alice
        .step(|session| session.stage_create(TEAM, &credential, invitees, false))
        .expect("it can be staged");
    assert_eq!(
        alice.code_of(|session| session.encrypt(TEAM, b"x", b"")),
        Code::CommitOutcomeUnknown
    );
    assert_eq!(alice.session.unsettled_commits().expect("it can be read").len(), 1);
    assert!(
        alice
            .step(|session| session.clear_commit(TEAM, &staged.commit_id))
            .expect("it can be cleared")
    );
    assert_eq!(alice.code_of(|session| session.epoch(TEAM)), Code::ConversationNotFound);
    assert!(alice.session.unsettled_commits().expect("it can be read").is_empty());
}

#[test]
fn the_change_told_before_the_merge_is_what_the_merge_does() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let removed = alice.commit(Request::remove(vec![b"bob".as_slice().into()]));
    assert_eq!(removed.change.removed[0].client_id, b"bob");
    let added = alice.commit(Request::add(vec![dave.invitee()]));
    let member = &added.change.added[0];
    assert_eq!(member.leaf_index, 1, "dave takes the leaf that bob left");
    let members = alice.session.members(TEAM).expect("alice is a member");
    assert!(members.contains(member));
    let updated = alice.commit(Request::update());
    assert_eq!(updated.change.updated[0].client_id, b"alice");
    let told = carol.receive(&[&removed.commit, &added.commit, &updated.commit]);
    for (what, staged) in told.iter().zip([&removed, &added, &updated]) {
        let What::Commit {
            change,
            own: false,
            active: true,
            ..
        } = what
        else {
            panic!("{what:?}")
        };
        assert_eq!(*change, staged.change);
    }
}

#[test]
fn the_later_of_two_commits_is_built_again_from_its_intent() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let winner = bob.commit(Request::update());
    let loser = carol.stage(Request::add(vec![dave.invitee()]));
    let receipt = carol.receipt(&[&winner.commit]);
    assert!(!receipt.settled[0].merged);
    assert_eq!(receipt.settled[0].commit_id, loser.commit_id);
    let again = carol.commit_again(&loser.intent);
    assert_eq!(again.epoch, loser.epoch + 1);
    dave.join(&again);
    alice.receive(&[&winner.commit, &again.commit]);
    bob.receive(&[&again.commit]);
    assert_eq!(alice.authenticator(), dave.authenticator());
    assert_eq!(bob.authenticator(), carol.authenticator());
}

#[test]
fn what_an_intent_asked_for_is_not_done_twice_and_not_to_somebody_else() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    // Bob wants carol out; alice removes her first, and invites dave, who takes her leaf.
    let lost = bob.stage(Request::remove(vec![b"carol".as_slice().into()]));
    let removal = alice.commit(Request::remove(vec![b"carol".as_slice().into()]));
    let invitation = alice.commit(Request::add(vec![dave.invitee()]));
    bob.receive(&[&removal.commit, &invitation.commit]);
    assert!(bob.stage_again(&lost.intent).is_none());
    // The same with carol herself invited again: bob meant who she was before.
    let lost = bob.stage(Request::remove(vec![b"dave".as_slice().into()]));
    let removal = alice.commit(Request::remove(vec![b"dave".as_slice().into()]));
    let invitation = alice.commit(Request::add(vec![dave.invitee()]));
    bob.receive(&[&removal.commit, &invitation.commit]);
    assert!(bob.stage_again(&lost.intent).is_none());
    // Somebody whom another member added meanwhile is not added twice.
    let mut erin = client("erin");
    let lost = bob.stage(Request::add(vec![erin.invitee()]));
    let invitation = alice.commit(Request::add(vec![erin.invitee()]));
    bob.receive(&[&invitation.commit]);
    assert!(bob.stage_again(&lost.intent).is_none());
}

#[test]
fn carol_is_removed_and_can_read_nothing_after_it() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let before = alice.send("before");
    let removal = alice.commit(Request::remove(vec![b"carol".as_slice().into()]));
    let after = alice.send("after");
    let told = carol.receive(&[&removal.commit, &before, &after]);
    assert!(matches!(&told[0], What::Commit { active: false, .. }), "{told:?}");
    assert!(matches!(told[1], What::Unreadable(Unreadable::Removed)));
    assert!(matches!(told[2], What::Unreadable(Unreadable::Removed)));
    assert!(!carol.session.active(TEAM).expect("a row stays"));
    assert_eq!(carol.session.conversations().expect("they can be listed"), [TEAM]);
    assert_eq!(
        carol.code_of(|session| session.encrypt(TEAM, b"x", b"")),
        Code::ConversationInactive
    );
    // She can be invited again.
    let back = alice.commit(Request::add(vec![carol.invitee()]));
    carol.join(&back);
    bob.receive(&[&removal.commit, &back.commit]);
    let welcome_back = bob.send("welcome back");
    assert_eq!(carol.read(&[&welcome_back]), ["welcome back"]);
}

#[test]
fn a_late_message_shows_its_sender_as_it_was() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let late = bob.send("late");
    let removal = alice.commit(Request::remove(vec![b"bob".as_slice().into()]));
    let invitation = alice.commit(Request::add(vec![dave.invitee()]));
    let told = carol.receive(&[&removal.commit, &invitation.commit, &late]);
    let What::Message { sender, plaintext, .. } = &told[2] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (sender.client_id.as_slice(), plaintext.as_slice()),
        (&b"bob"[..], &b"late"[..])
    );
}

#[test]
fn own_messages_come_back_without_harm() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let hello = alice.send("hello");
    assert!(matches!(alice.receive(&[&hello])[0], What::Ignored(Ignored::Own)));
    // The echo of a commit settles it before the answer does.
    let staged = alice.stage(Request::update());
    let receipt = alice.receipt(&[&staged.commit]);
    assert!(receipt.settled[0].merged);
    assert!(matches!(&receipt.received[0].what, What::Commit { own: true, .. }));
    let merged = alice
        .step(|session| session.merge_commit(TEAM, &staged.commit_id, false))
        .expect("it was merged before");
    assert_eq!(merged.outcome, MergeOutcome::Before);
    assert!(merged.received.is_empty(), "{merged:?}");
    // And in the usual order: answered with the merge, as what it would have been by its echo.
    let staged = alice.stage(Request::update());
    let by = alice.session.members(TEAM).expect("she is a member")[0].clone();
    let merged = alice
        .step(|session| session.merge_commit(TEAM, &staged.commit_id, false))
        .expect("it can be merged");
    let [received] = &merged.received[..] else {
        panic!("{merged:?}")
    };
    assert_eq!((received.message_id, received.epoch), (staged.commit_id, staged.epoch));
    assert_eq!(received.conversation_id.as_deref(), Some(TEAM));
    let What::Commit {
        by: Some(told),
        own: true,
        change,
        active: true,
    } = &received.what
    else {
        panic!("{received:?}")
    };
    assert_eq!((told, change), (&by, &staged.change));
    assert!(matches!(
        alice.receive(&[&staged.commit])[0],
        What::Ignored(Ignored::Own)
    ));
}

#[test]
fn a_server_that_contradicts_itself_is_told_so() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let refused = alice.stage(Request::update());
    assert!(
        alice
            .step(|session| session.clear_commit(TEAM, &refused.commit_id))
            .expect("it can be cleared")
    );
    assert!(matches!(
        alice.receive(&[&refused.commit])[0],
        What::Rejected(Code::StateDiverged, _)
    ));
    let stalled = alice.step(|session| session.stage_commit(TEAM, Request::update()));
    assert_eq!(stalled.err().map(|error| error.code()), Some(Code::ConversationStalled));
    alice.receive(&[&bob.commit(Request::update()).commit]); // Another commit of that epoch ends it.
    let lost = alice.stage(Request::update());
    let winner = bob.commit(Request::update());
    alice.receive(&[&winner.commit]);
    let merged = alice
        .step(|session| session.merge_commit(TEAM, &lost.commit_id, false))
        .expect("it is told");
    assert_eq!(merged.outcome, MergeOutcome::Lost);
    assert!(matches!(
        alice.receive(&[&lost.commit])[0],
        What::Rejected(Code::StateDiverged, _)
    ));
}

#[test]
fn messages_that_nobody_takes_wait_for_who_does() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let staged = alice.stage(Request::update());
    bob.receive(&[&staged.commit]);
    let early = bob.send("early");
    assert!(matches!(alice.receive(&[&early])[0], What::Waiting { .. }));
    let merged = alice
        .step(|session| session.merge_commit(TEAM, &staged.commit_id, true))
        .expect("it can be merged");
    assert_eq!(merged.received.len(), 1, "the commit, and no message: {merged:?}");
    assert_eq!(alice.read(&[&staged.commit]), ["early"]);
    assert!(alice.read(&[&staged.commit]).is_empty(), "and only once");
    // Commits that waited are taken, but not so many that the message could not be read any more.
    let commits: Vec<_> = (0..7).map(|_| bob.commit(Request::update()).commit).collect();
    let late = bob.send("late");
    let options = ReceiveOptions {
        handshakes_only: true,
        ..ReceiveOptions::default()
    };
    alice.receive(&[&late]);
    let (first, rest) = commits.split_first().expect("there are seven");
    rest.iter().rev().for_each(|commit| drop(alice.receive(&[commit])));
    let receipt = alice
        .step(|session| session.receive(std::slice::from_ref(first), &options))
        .expect("it can be received");
    assert_eq!(receipt.received.len(), 7, "the commits, and no message");
    assert_eq!(alice.read(&[first]), ["late"]);
}

#[test]
fn early_messages_wait_and_are_received_in_their_order() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let first = alice.commit(Request::update());
    let one = alice.send("one");
    let second = alice.commit(Request::update());
    let two = alice.send("two");
    let told = bob.receive(&[&two, &second.commit, &one]);
    assert!(
        told.iter().all(|what| matches!(
            what,
            What::Waiting {
                on: WaitingFor::Commit,
                ..
            }
        )),
        "{told:?}"
    );
    assert!(
        matches!(bob.receive(&[&two])[0], What::Waiting { count: 3, .. }),
        "a second copy takes no room"
    );
    let told = bob.receipt(&[&first.commit]);
    assert_eq!(support::texts(&told.received), ["one", "two"]);
    assert_eq!(bob.epoch(), alice.epoch());
}

#[test]
fn messages_before_their_welcome_wait_for_it() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob]);
    let staged = alice.commit(Request::add(vec![carol.invitee()]));
    let early = alice.send("welcome");
    assert!(matches!(
        carol.receive(&[&early])[0],
        What::Waiting {
            on: WaitingFor::Welcome,
            ..
        }
    ));
    let welcome = staged.welcome.clone().expect("carol is added");
    let joined = carol
        .step(|session| session.join_by_welcome(&welcome, false))
        .expect("it is good");
    assert_eq!(support::texts(&joined.received), ["welcome"]);
}

#[test]
fn what_was_tampered_with_leaves_no_trace() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    let genuine = alice.send("genuine");
    for position in [0, 10, genuine.len() / 2, genuine.len() - 1] {
        let mut tampered = genuine.clone();
        tampered[position] ^= 0x40;
        let told = bob.receive(&[&tampered]);
        assert!(!matches!(told[0], What::Message { .. }), "{told:?}");
    }
    for length in 0..genuine.len() {
        assert!(matches!(
            bob.receive(&[&genuine[..length]])[0],
            What::Rejected(Code::MessageInvalid, _)
        ));
    }
    assert_eq!(bob.read(&[&genuine]), ["genuine"]);
    assert!(matches!(bob.receive(&[&genuine])[0], What::Ignored(Ignored::Duplicate)));
    let staged = alice.stage(Request::update());
    let mut tampered = staged.commit.clone();
    *tampered.last_mut().expect("it has bytes") ^= 1;
    assert!(matches!(
        bob.receive(&[&tampered])[0],
        What::Rejected(Code::MessageInvalid, _)
    ));
    assert!(matches!(bob.receive(&[&staged.commit])[0], What::Commit { .. }));
}

#[test]
fn a_damaged_welcome_leaves_the_key_package_in_place() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    let mut carol = client("carol");
    let staged = alice.commit(Request::add(vec![carol.invitee()]));
    let mut damaged = staged.welcome.clone().expect("carol is added").to_vec();
    *damaged.last_mut().expect("it has bytes") ^= 1;
    assert_eq!(
        carol.code_of(|session| session.join_by_welcome(&damaged, false)),
        Code::WelcomeInvalid
    );
    carol.join(&staged);
    assert!(carol.session.key_packages().expect("they can be listed").is_empty());
}

#[test]
fn a_last_resort_key_package_can_be_joined_with_twice() {
    let mut alice = client("alice");
    let mut bob = client("bob");
    let credential = bob.credential.clone();
    let package = bob
        .step(|session| session.generate_key_packages(&credential, 1, None, true))
        .expect("it can be made")
        .remove(0);
    let credential = alice.credential.clone();
    for id in [&b"one"[..], b"two"] {
        let invitee = conclave_core::conversation::intent::Invitee {
            key_package: package.bytes.clone(),
            client_id: None,
        };
        let staged = alice
            .step(|session| session.stage_create(id, &credential, vec![invitee], false))
            .expect("bob can be added");
        alice
            .step(|session| session.merge_commit(id, &staged.commit_id, false))
            .expect("it can be merged");
        let welcome = staged.welcome.expect("bob is added");
        let joined = bob
            .step(|session| session.join_by_welcome(&welcome, false))
            .expect("it is good");
        assert!(joined.last_resort);
    }
    assert_eq!(bob.session.key_packages().expect("they can be listed").len(), 1);
}

#[test]
fn bad_input_is_refused_with_a_code_and_changes_nothing() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob]);
    let before = alice.authenticator();
    let mut stage = |request: Request| alice.code_of(|session| session.stage_commit(TEAM, request));
    assert_eq!(stage(Request::add(vec![])), Code::InvalidArgument);
    assert_eq!(stage(Request::remove(vec![])), Code::InvalidArgument);
    assert_eq!(
        stage(Request::remove(vec![b"nobody".as_slice().into()])),
        Code::NotAMember
    );
    assert_eq!(
        stage(Request::remove(vec![b"alice".as_slice().into()])),
        Code::InvalidArgument
    );
    assert_eq!(
        stage(Request::remove(vec![
            b"bob".as_slice().into(),
            b"bob".as_slice().into()
        ])),
        Code::InvalidArgument
    );
    assert_eq!(stage(Request::add(vec![bob.invitee()])), Code::AlreadyMember);
    assert_eq!(
        stage(Request::add(vec![carol.invitee(), carol.invitee()])),
        Code::AlreadyMember
    );
    let mut wrong = carol.invitee();
    wrong.client_id = Some(b"dave".to_vec());
    assert_eq!(stage(Request::add(vec![wrong])), Code::KeyPackageMismatch);
    let mut damaged = carol.invitee();
    *damaged.key_package.last_mut().expect("it has bytes") ^= 1;
    assert_eq!(stage(Request::add(vec![damaged])), Code::KeyPackageInvalid);
    let memory = conclave_core::keystore::Keystore::in_memory().expect("memory is there");
    let mut dave = client_with("dave", 2, memory);
    assert_eq!(stage(Request::add(vec![dave.invitee()])), Code::KeyPackageMismatch);
    let credential = alice.credential.clone();
    assert_eq!(
        alice.code_of(|session| session.create_conversation(TEAM, &credential, false)),
        Code::ConversationExists
    );
    assert_eq!(
        alice.code_of(|session| session.create_conversation(b"", &credential, false)),
        Code::InvalidArgument
    );
    assert_eq!(
        alice.code_of(|session| session.create_conversation(b"x", b"?", false)),
        Code::CredentialNotFound
    );
    assert_eq!(
        alice.code_of(|session| session.export_secret(TEAM, "x", b"", 0)),
        Code::InvalidArgument
    );
    assert_eq!(
        alice.code_of(|session| session.encrypt(b"other", b"", b"")),
        Code::ConversationNotFound
    );
    assert_eq!(alice.authenticator(), before);
    let hello = alice.send("hello");
    assert_eq!(bob.read(&[&hello]), ["hello"]);
}

#[test]
fn a_wiped_conversation_leaves_no_row_of_its_own() {
    let mut bob = client("bob");
    let mut alice = team(&mut [&mut bob]);
    alice.stage(Request::update());
    alice.step(|session| session.wipe(TEAM)).expect("it can be wiped");
    assert!(alice.session.conversations().expect("they can be listed").is_empty());
    assert!(
        alice
            .session
            .unsettled_commits()
            .expect("they can be listed")
            .is_empty()
    );
    assert_eq!(alice.code_of(|session| session.epoch(TEAM)), Code::ConversationNotFound);
}

#[test]
fn a_welcome_that_comes_again_answers_the_conversation_as_it_is_now() {
    for last_resort in [false, true] {
        let mut bob = client("bob");
        let credential = bob.credential.clone();
        let packages = bob.step(|session| session.generate_key_packages(&credential, 1, None, last_resort));
        let key_package = packages.expect("it can be made").remove(0).bytes;
        let mut alice = client("alice");
        let hers = alice.credential.clone();
        alice
            .step(|session| session.create_conversation(TEAM, &hers, false))
            .expect("it can be created");
        let invitee = Invitee {
            key_package,
            client_id: None,
        };
        let staged = alice.commit(Request::add(vec![invitee]));
        bob.join(&staged);
        let update = alice.commit(Request::update());
        bob.receive(&[&update.commit]);
        let authenticator = bob.authenticator();

        let welcome = staged.welcome.expect("it adds bob");
        let again = bob
            .step(|session| session.join_by_welcome(&welcome, false))
            .expect("he is there");
        assert!(again.again);
        assert_eq!((again.epoch, again.last_resort), (update.epoch + 1, last_resort));
        assert_eq!(again.members, alice.session.members(TEAM).expect("alice is a member"));
        assert_eq!(bob.authenticator(), authenticator);

        let removal = alice.commit(Request::remove(vec![b"bob".as_slice().into()]));
        bob.receive(&[&removal.commit]);
        let refused = if last_resort {
            Code::RollbackRefused
        } else {
            Code::WelcomeWithoutKeyPackage
        };
        assert_eq!(bob.code_of(|session| session.join_by_welcome(&welcome, false)), refused);
        assert_eq!(
            bob.code_of(|session| session.encrypt(TEAM, b"x", b"")),
            Code::ConversationInactive
        );
    }
}

#[test]
fn one_commit_does_several_things_and_what_is_left_of_them_when_it_is_built_again() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let mut alice = team(&mut [&mut bob, &mut carol]);
    // Carol's new device takes the place of the old one.
    let mut anew = client("carol");
    let mut request = Request::remove(vec![b"carol".as_slice().into()]);
    request.add = vec![anew.invitee(), dave.invitee()];
    let named = Credential::Basic(b"alice".to_vec());
    let credential = alice.step(|session| session.add_credential(1, named));
    request.credential = Some(credential.expect("the suite is supported").reference.to_vec());
    let lost = alice.stage(request);
    assert_eq!((lost.change.added.len(), lost.change.removed.len()), (2, 1));
    // Bob is faster with a part of it.
    let faster = bob.commit(Request::remove(vec![b"carol".as_slice().into()]));
    alice.receive(&[&faster.commit]);
    let again = alice.commit_again(&lost.intent);
    assert_eq!(again.change.added, lost.change.added);
    assert!(again.change.removed.is_empty());
    assert_eq!(
        again.change.updated[0].signature_key,
        lost.change.updated[0].signature_key
    );
    bob.receive(&[&again.commit]);
    anew.join(&again);
    dave.join(&again);
    assert_eq!(anew.authenticator(), bob.authenticator());
    assert_eq!(dave.read(&[&alice.send("hello")]), ["hello"]);
}

#[test]
fn a_commit_that_is_to_do_nothing_is_a_mistake() {
    let mut alice = team(&mut [&mut client("bob")]);
    let refused = alice.code_of(|session| session.stage_commit(TEAM, Request::default()));
    assert_eq!(refused, Code::InvalidArgument);
}
