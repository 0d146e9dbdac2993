//! Key packages by the clock: who is added, what stays for how long, and what can be published again.

mod keystore_support;
mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conclave_core::conversation::commit::Request;
use conclave_core::conversation::intent::Invitee;
use conclave_core::error::{Code, Error};
use conclave_core::key_package::KeyPackage;
use conclave_core::keystore::{Entity, Keystore};
use conclave_core::session::Session;
use keystore_support::Folder;
use openmls::prelude::{KeyPackageIn, Lifetime, MlsMessageBodyIn, MlsMessageIn, ProtocolVersion};
use openmls_rust_crypto::RustCrypto;
use support::foreign::Foreigner;
use support::{Client, TEAM, client, client_with, team};
use tls_codec::DeserializeBytes;

const SECOND: u64 = 1000;
const HOUR: u64 = 60 * 60 * SECOND;
const DAY: u64 = 24 * HOUR;

/// The machine's time.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(now.as_millis()).expect("not for long times")
}

fn made(client: &mut Client, lifetime: Option<u64>, last_resort: bool) -> KeyPackage {
    let credential = client.credential.clone();
    let lifetime = lifetime.map(Duration::from_millis);
    let made = client.step(|session| session.generate_key_packages(&credential, 1, lifetime, last_resort));
    made.expect("it can be made").remove(0)
}

fn lifetime_of(bytes: &[u8]) -> Lifetime {
    let message = MlsMessageIn::tls_deserialize_exact_bytes(bytes).expect("it is an MLSMessage");
    let MlsMessageBodyIn::KeyPackage(package) = message.extract() else {
        panic!("it is no key package")
    };
    let package: KeyPackageIn = package;
    let package = package.validate(&RustCrypto::default(), ProtocolVersion::Mls10);
    *package.expect("it is valid").life_time()
}

fn invitee(key_package: &[u8]) -> Invitee {
    Invitee {
        key_package: key_package.to_vec(),
        client_id: None,
    }
}

/// Alice, alone in the team.
fn alice() -> Client {
    let mut alice = client("alice");
    let credential = alice.credential.clone();
    let created = alice.step(|session| session.create_conversation(TEAM, &credential, false));
    created.expect("it can be created");
    alice
}

/// Why alice does not add this client.
fn refusal(alice: &mut Client, key_package: &[u8]) -> Option<Error> {
    let staged = alice.step(|session| session.stage_commit(TEAM, Request::add(vec![invitee(key_package)])));
    let staged = match staged {
        Err(error) => return Some(error),
        Ok(staged) => staged.expect("there is work"),
    };
    let cleared = alice.step(|session| session.clear_commit(TEAM, &staged.commit_id));
    assert!(cleared.expect("it is open"));
    None
}

fn refs(client: &mut Client) -> Vec<Vec<u8>> {
    let listed = client.session.key_packages().expect("they can be listed");
    listed.into_iter().map(|package| package.reference).collect()
}

/// How many private keys of key packages are in a keystore that was closed.
fn private_keys(folder: &Folder) -> usize {
    let keystore = folder.open();
    let count = keystore
        .rows()
        .keys(Entity::KeyPackageBundle, &[])
        .expect("it is read")
        .len();
    keystore.close().expect("it closes");
    count
}

#[test]
fn a_lifetime_begins_a_day_ago_and_lasts_what_the_caller_says() {
    let mut bob = client("bob");
    for (asked, lasts) in [(None, 83 * DAY), (Some(84 * DAY), 84 * DAY), (Some(SECOND), SECOND)] {
        let before = now() / SECOND;
        let package = made(&mut bob, asked, false);
        let after = now() / SECOND;
        let lifetime = lifetime_of(&package.bytes);
        assert!((before..=after).contains(&(lifetime.not_before() + DAY / SECOND)));
        assert_eq!(lifetime.not_after() - lifetime.not_before(), (DAY + lasts) / SECOND);
        assert_eq!(package.not_after_ms, lifetime.not_after() * SECOND);
    }
    let credential = bob.credential.clone();
    for wrong in [
        Duration::from_millis(999),
        Duration::from_millis(84 * DAY + 1),
        Duration::MAX,
    ] {
        let made = bob.code_of(|session| session.generate_key_packages(&credential, 1, Some(wrong), false));
        assert_eq!(made, Code::InvalidArgument);
    }
}

#[test]
fn nobody_is_added_by_a_key_package_that_has_less_than_a_day_left_or_has_not_begun() {
    let (mut alice, mut bob) = (alice(), client("bob"));
    let package = made(&mut bob, None, false);
    let (begins, ends) = (package.not_after_ms - 84 * DAY, package.not_after_ms);
    for (at, said) in [
        (begins - SECOND, Some("has not begun")),
        (begins, None),
        (now(), None),
        (ends - DAY, None),
        (ends - DAY + SECOND, Some("within a day")),
        (ends + 1000 * DAY, Some("has expired")),
        (0, Some("has not begun")),
        (u64::MAX, Some("has expired")),
    ] {
        alice.session.set_time(Some(at));
        let refusal = refusal(&mut alice, &package.bytes);
        assert_eq!(refusal.is_some(), said.is_some(), "at {at}");
        if let (Some(error), Some(said)) = (refusal, said) {
            assert_eq!(error.code(), Code::KeyPackageInvalid);
            assert!(error.to_string().contains(said), "{error}");
        }
    }
    alice.session.set_time(None);
    assert!(
        refusal(&mut alice, &package.bytes).is_none(),
        "the machine's clock again"
    );
}

#[test]
fn a_whole_lifetime_of_more_than_85_days_and_an_hour_is_too_long() {
    let (mut alice, frank) = (alice(), Foreigner::of("frank"));
    let (begins, hour) = (now() / SECOND - 10, HOUR / SECOND);
    let longest = Lifetime::init(begins, begins + 85 * 24 * hour + hour);
    assert!(refusal(&mut alice, &frank.key_package_for(longest)).is_none());
    for too_long in [
        Lifetime::init(begins, longest.not_after() + 1),
        Lifetime::init(0, u64::MAX),
    ] {
        let error = refusal(&mut alice, &frank.key_package_for(too_long)).expect("it is refused");
        assert_eq!(error.code(), Code::KeyPackageInvalid);
        assert!(error.to_string().contains("longer than 85 days"), "{error}");
    }
}

#[test]
fn a_proposed_client_whose_time_is_over_is_left_out_of_a_commit() {
    let (mut bob, mut carol) = (client("bob"), client("carol"));
    let mut alice = team(&mut [&mut bob]);
    let mut frank = Foreigner::of("frank");
    let invitation = alice.commit(Request::add(vec![frank.invitee()]));
    frank.join(&invitation);
    bob.receive(&[&invitation.commit]);
    let proposal = frank.propose_add(&carol.invitee());
    alice.receive(&[&proposal]);
    bob.receive(&[&proposal]);
    alice.session.set_time(Some(now() + 83 * DAY));
    let commit = alice.commit(Request::pending());
    assert!(commit.change.added.is_empty() && commit.welcome.is_none());
    bob.receive(&[&commit.commit]);
    assert_eq!(bob.authenticator(), alice.authenticator());
}

#[test]
fn what_is_built_again_asks_the_clock_again_but_not_about_those_who_are_in() {
    let (mut bob, mut carol, mut dave) = (client("bob"), client("carol"), client("dave"));
    let mut alice = team(&mut [&mut bob]);
    let lost = alice.stage(Request::add(vec![carol.invitee()]));
    let faster = bob.commit(Request::update());
    alice.receive(&[&faster.commit]);
    alice.session.set_time(Some(now() + 83 * DAY));
    let again = |client: &mut Client, intent: &[u8]| client.step(|session| session.restage_commit(TEAM, intent));
    let refused = again(&mut alice, &lost.intent).expect_err("it has run out meanwhile");
    assert_eq!(refused.code(), Code::KeyPackageInvalid);
    let staged = alice.session.staged_commit(TEAM).expect("there is such a conversation");
    assert!(staged.is_none(), "nothing is open");

    alice.session.set_time(None);
    let dave = dave.invitee();
    let lost = alice.stage(Request::add(vec![dave.clone()]));
    let faster = bob.commit(Request::add(vec![dave]));
    alice.receive(&[&faster.commit]);
    alice.session.set_time(Some(now() + 83 * DAY));
    let nothing_left = again(&mut alice, &lost.intent).expect("he is in");
    assert!(nothing_left.is_none());
}

#[test]
fn a_commit_that_was_sent_is_the_same_200_days_later_and_is_merged() {
    let mut bob = client("bob");
    let mut alice = alice();
    let sent = alice.stage(Request::add(vec![bob.invitee()]));
    alice.session.set_time(Some(now() + 200 * DAY));
    alice.session.bind(b"alice").expect("it is hers");
    alice.session.idle().expect("there is nothing to do");
    let staged = alice
        .session
        .staged_commit(TEAM)
        .expect("it is there")
        .expect("it is open");
    assert_eq!(staged.commit, sent.commit);
    assert!(now() - staged.since_ms < HOUR, "when it was staged is remembered");
    alice.merge(&sent);
    bob.join(&sent);
    assert_eq!(alice.authenticator(), bob.authenticator());
}

#[test]
fn a_welcome_finds_its_private_keys_for_a_week_after_the_key_package_has_expired() {
    for (late, finds) in [(7 * DAY - SECOND, true), (7 * DAY, false)] {
        let (mut alice, mut bob) = (alice(), client("bob"));
        let package = made(&mut bob, Some(2 * DAY), false);
        let invitation = alice.commit(Request::add(vec![invitee(&package.bytes)]));
        bob.session.set_time(Some(package.not_after_ms + late));
        bob.session.idle().expect("what is old is deleted");
        let listed = bob.session.key_packages().expect("they can be listed");
        assert!(listed.iter().all(|package| package.expired));
        assert_eq!(listed.len(), usize::from(finds));
        if finds {
            bob.join(&invitation);
            assert_eq!(bob.authenticator(), alice.authenticator());
        } else {
            let welcome = invitation.welcome.expect("he is added");
            let code = bob.code_of(|session| session.join_by_welcome(&welcome, false));
            assert_eq!(code, Code::WelcomeWithoutKeyPackage);
        }
    }
}

#[test]
fn old_private_keys_are_deleted_when_a_keystore_is_opened() {
    let folder = Folder::new();
    let mut alice = client_with("alice", 1, folder.open());
    made(&mut alice, Some(DAY), false);
    made(&mut alice, Some(DAY), true);
    let fresh = made(&mut alice, Some(80 * DAY), false);
    alice.session.close().expect("it closes");
    assert_eq!(private_keys(&folder), 3);

    let mut session = Session::new(folder.open());
    session.set_time(Some(now() + 9 * DAY));
    session.step(|session| session.bind(b"alice")).expect("it is hers");
    session.store().expect("the disk takes it");
    let listed = session.key_packages().expect("they can be listed");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].reference, fresh.reference);
    session.close().expect("it closes");
    assert_eq!(private_keys(&folder), 1);
}

#[test]
fn old_private_keys_are_deleted_when_a_session_is_idle_a_part_at_a_time_and_not_in_a_transaction() {
    let folder = Folder::new();
    let mut alice = client_with("alice", 1, folder.open());
    let credential = alice.credential.clone();
    let many =
        alice.step(|session| session.generate_key_packages(&credential, 300, Some(Duration::from_secs(60)), false));
    many.expect("they can be made");
    assert!(!alice.session.idle().expect("nothing is old"));
    alice.session.set_time(Some(now() + 8 * DAY));
    alice.session.begin().expect("none is open");
    assert!(alice.session.idle().expect("it waits"), "they are left to do");
    assert_eq!(refs(&mut alice).len(), 300);
    alice.session.rollback().expect("it ends");
    assert!(alice.session.idle().expect("some are deleted"), "there are more");
    assert_eq!(refs(&mut alice).len(), 300 - 256);
    assert!(!alice.session.idle().expect("the rest is deleted"));
    assert!(refs(&mut alice).is_empty());

    // One that is made later is not forgotten.
    let package = made(&mut alice, Some(DAY), false);
    alice.session.set_time(Some(package.not_after_ms + 7 * DAY));
    alice.session.idle().expect("it is deleted");
    assert!(refs(&mut alice).is_empty());
    alice.session.close().expect("it closes");
    assert_eq!(private_keys(&folder), 0);
}

#[test]
fn a_last_resort_that_was_replaced_goes_a_week_later_and_those_of_other_credentials_stay() {
    let mut bob = client("bob");
    let other =
        bob.step(|session| session.add_credential(2, conclave_core::credential::Credential::Basic(b"bob".to_vec())));
    let other = other.expect("the suite is supported").reference;
    let of_other = bob.step(|session| session.generate_key_packages(&other, 1, None, true));
    let of_other = of_other.expect("it can be made").remove(0).reference;
    let former = made(&mut bob, None, true);
    let replaced = now();
    let present = made(&mut bob, None, true);
    assert_eq!(refs(&mut bob).len(), 3, "a Welcome for the former may be under way");

    bob.session.set_time(Some(replaced + 7 * DAY - SECOND));
    bob.session.idle().expect("nothing is old");
    let mut alice = alice();
    let invitation = alice.commit(Request::add(vec![invitee(&former.bytes)]));
    bob.join(&invitation);

    bob.session.set_time(Some(now() + 7 * DAY));
    bob.session.idle().expect("the former is deleted");
    let mut left = vec![of_other, present.reference];
    left.sort();
    assert_eq!(refs(&mut bob), left);
}

#[test]
fn several_last_resorts_that_are_made_together_do_not_replace_each_other() {
    let mut bob = client("bob");
    let credential = bob.credential.clone();
    let made = bob.step(|session| session.generate_key_packages(&credential, 2, None, true));
    assert_eq!(made.expect("they can be made").len(), 2);
    let again = bob.session.key_packages_with_bytes().expect("they can be listed");
    assert!(again.iter().all(|package| !package.bytes.is_empty()));
}

#[test]
fn key_packages_are_removed_with_their_private_keys_and_a_rollback_brings_them_back() {
    let folder = Folder::new();
    let (mut alice, mut bob) = (alice(), client_with("bob", 1, folder.open()));
    let (one, two) = (made(&mut bob, None, false), made(&mut bob, None, true));
    let unknown = vec![7; 32];
    let all = vec![one.reference.clone(), two.reference.clone(), unknown];
    bob.session.begin().expect("none is open");
    bob.step(|session| session.remove_key_packages(&all))
        .expect("they are there");
    assert!(refs(&mut bob).is_empty());
    bob.session.rollback().expect("it ends");
    assert_eq!(refs(&mut bob).len(), 2);

    let invitation = alice.commit(Request::add(vec![invitee(&one.bytes)]));
    bob.step(|session| session.remove_key_packages(&all))
        .expect("they are there");
    bob.step(|session| session.remove_key_packages(&all))
        .expect("it is no failure");
    let welcome = invitation.welcome.expect("he is added");
    let code = bob.code_of(|session| session.join_by_welcome(&welcome, false));
    assert_eq!(code, Code::WelcomeWithoutKeyPackage);
    bob.session.close().expect("it closes");
    assert_eq!(private_keys(&folder), 0);
    let too_many = vec![vec![7; 32]; 4097];
    let code = client("carol").code_of(|session| session.remove_key_packages(&too_many));
    assert_eq!(code, Code::InvalidArgument);
}

#[test]
fn what_can_be_published_comes_again_byte_by_byte() {
    let mut bob = client("bob");
    let former = made(&mut bob, None, true);
    let brief = made(&mut bob, Some(SECOND), false);
    let (one, present) = (made(&mut bob, None, false), made(&mut bob, None, true));
    bob.session.set_time(Some(brief.not_after_ms));
    let listed = bob.session.key_packages_with_bytes().expect("they can be listed");
    let bytes_of = |package: &KeyPackage| {
        let found = listed.iter().find(|one| one.reference == package.reference);
        let found = found.expect("it is listed");
        (found.bytes.clone(), found.expired)
    };
    assert_eq!(bytes_of(&one), (one.bytes.clone(), false));
    assert_eq!(bytes_of(&present), (present.bytes.clone(), false));
    assert_eq!(bytes_of(&former), (Vec::new(), false), "replaced");
    assert_eq!(bytes_of(&brief), (Vec::new(), true), "expired");
    let without = bob.session.key_packages().expect("they can be listed");
    assert!(without.iter().all(|package| package.bytes.is_empty()));
}

#[test]
fn a_keystore_that_cannot_be_tidied_opens_all_the_same() {
    let keystore = Keystore::in_memory().expect("memory is there");
    keystore
        .rows()
        .put(Entity::KeyPackage, &[], b"odd", b"no row of ours".to_vec());
    keystore.rows().flush().expect("memory takes it");
    let mut session = Session::new(keystore);
    session.step(|session| session.bind(b"alice")).expect("it opens");
    session.store().expect("memory takes it");
}
