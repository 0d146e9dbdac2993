//! The engine: order, shared fsyncs, transactions between steps, panics, the end.

use std::sync::mpsc::{Receiver, Sender, channel};

use conclave_core::engine::Engine;
use conclave_core::error::{Code, Error, Result};
use conclave_core::keystore::{DatabaseKey, Keystore};
use conclave_core::session::Session;

/// Nobody listens any more when a test has failed, which is told elsewhere.
fn answered<T>(listener: &Sender<T>, answer: T) {
    let _ = listener.send(answer);
}

fn started(open: impl FnOnce() -> Result<Keystore> + Send + 'static) -> Result<Engine> {
    let (send, receive) = channel();
    Engine::start(open, move |engine| send.send(engine).expect("somebody listens"))?;
    receive.recv().expect("it answers")
}

fn in_memory() -> Engine {
    started(Keystore::in_memory).expect("memory is there")
}

fn step<R: Send + 'static>(
    engine: &Engine,
    work: impl FnOnce(&mut Session) -> Result<R> + Send + 'static,
) -> Receiver<Result<R>> {
    let (send, receive) = channel();
    engine.step(work, move |result| answered(&send, result));
    receive
}

fn control(engine: &Engine, work: impl FnOnce(&mut Session) -> Result<()> + Send + 'static) -> Receiver<Result<()>> {
    let (send, receive) = channel();
    engine.control(work, move |result| answered(&send, result));
    receive
}

fn set(engine: &Engine, key: &'static str, value: &'static [u8]) -> Receiver<Result<()>> {
    step(engine, move |session| session.set_data(key, Some(value)))
}

fn value(engine: &Engine, key: &'static str) -> Option<Vec<u8>> {
    step(engine, move |session| session.data(key))
        .recv()
        .expect("it answers")
        .expect("it can be read")
}

fn done<R>(answer: &Receiver<Result<R>>) -> R {
    answer.recv().expect("it answers").expect("it succeeds")
}

fn code<R: std::fmt::Debug>(answer: &Receiver<Result<R>>) -> Code {
    answer.recv().expect("it answers").expect_err("it fails").code()
}

#[test]
fn steps_run_and_answer_in_the_order_they_came() {
    let engine = in_memory();
    let (send, receive) = channel();
    for number in 0..1000_u32 {
        let send = send.clone();
        engine.step(
            move |_| Ok(number),
            move |result| answered(&send, result.expect("it succeeds")),
        );
    }
    drop(send);
    assert!(receive.iter().eq(0..1000));
}

#[test]
fn a_failed_step_takes_nothing_of_its_neighbours_along() {
    let engine = in_memory();
    let first = set(&engine, "first", b"1");
    let failed = step(&engine, |session| -> Result<()> {
        session.set_data("failed", Some(b"2"))?;
        Err(Error::invalid("of no use"))
    });
    let last = set(&engine, "last", b"3");
    done(&first);
    assert_eq!(code(&failed), Code::InvalidArgument);
    done(&last);
    assert_eq!(value(&engine, "first").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&engine, "failed"), None);
    assert_eq!(value(&engine, "last").as_deref(), Some(&b"3"[..]));
}

#[test]
fn what_was_answered_before_a_transaction_is_not_taken_back_with_it() {
    let engine = in_memory();
    let before = set(&engine, "before", b"1");
    let begun = control(&engine, Session::begin);
    let inside = set(&engine, "inside", b"2");
    let taken_back = control(&engine, Session::rollback);
    for answer in [before, begun, inside, taken_back] {
        done(&answer);
    }
    assert_eq!(value(&engine, "before").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&engine, "inside"), None);
}

#[test]
fn a_panic_poisons_the_session_and_not_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.db");
    let open = move || Keystore::open(&path, &DatabaseKey::try_from([7; 32].as_slice())?);
    let engine = started(open.clone()).expect("it can be created");
    done(&set(&engine, "stored", b"1"));
    let panicked = step(&engine, |session| -> Result<()> {
        session.set_data("half-done", Some(b"2"))?;
        panic!("a test of what cannot happen")
    });
    let after = set(&engine, "after", b"3");
    assert_eq!(code(&panicked), Code::InternalError);
    assert_eq!(code(&after), Code::InternalError);
    let (send, receive) = channel();
    engine.close(move |result| answered(&send, result));
    done(&receive);
    let engine = started(open).expect("it can be opened again");
    assert_eq!(value(&engine, "stored").as_deref(), Some(&b"1"[..]));
    assert_eq!(value(&engine, "half-done"), None);
    assert_eq!(value(&engine, "after"), None);
}

#[test]
fn closing_waits_for_what_came_before_and_refuses_what_comes_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.db");
    let open = move || Keystore::open(&path, &DatabaseKey::try_from([7; 32].as_slice())?);
    let engine = started(open.clone()).expect("it can be created");
    let before = set(&engine, "before", b"1");
    let (send, receive) = channel();
    engine.close(move |result| answered(&send, result));
    let after = set(&engine, "after", b"2");
    done(&before);
    done(&receive);
    assert_eq!(code(&after), Code::DatabaseClosed);
    // The lock is gone with the answer, and a second close is no failure.
    let again = started(open).expect("nobody has it open");
    assert_eq!(value(&again, "before").as_deref(), Some(&b"1"[..]));
    let (send, receive) = channel();
    engine.close(move |result| answered(&send, result));
    done(&receive);
}

#[test]
fn dropping_the_engine_closes_the_keystore() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.db");
    let open = move || Keystore::open(&path, &DatabaseKey::try_from([7; 32].as_slice())?);
    let engine = started(open.clone()).expect("it can be created");
    done(&set(&engine, "stored", b"1"));
    drop(engine);
    // The thread ends on its own time; until then the keystore is in use, and nothing else.
    loop {
        match started(open.clone()) {
            Ok(engine) => return assert_eq!(value(&engine, "stored").as_deref(), Some(&b"1"[..])),
            Err(error) => assert_eq!(error.code(), Code::DatabaseInUse),
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_comes_at_the_very_moment_of_the_end_is_answered_too() {
    for _ in 0..100 {
        let engine = in_memory();
        let (closing, closed) = channel();
        engine.close(move |result| answered(&closing, result));
        let (send, answers) = channel();
        let mut sent = 0;
        while closed.try_recv().is_err() {
            let send = send.clone();
            engine.step(|session| session.data("nothing"), move |result| answered(&send, result));
            sent += 1;
        }
        drop(send);
        drop(engine);
        let codes: Vec<Code> = answers
            .iter()
            .filter_map(|answer| answer.err())
            .map(|error| error.code())
            .collect();
        assert_eq!(codes, vec![Code::DatabaseClosed; sent]);
    }
}

/// Whether the write-ahead log of this keystore is empty.
fn is_clean(path: &std::path::Path) -> bool {
    let log = std::fs::metadata(path.with_extension("db-wal"));
    log.map_or(0, |log| log.len()) == 0
}

/// Does this work again and again until what was stored before has left the log. Nothing here waits
/// for quiet.
fn works_until_clean(path: &std::path::Path, mut work: impl FnMut()) {
    let begun = std::time::Instant::now();
    while !is_clean(path) {
        work();
        assert!(begun.elapsed().as_secs() < 60, "work has put it off");
    }
}

#[test]
fn what_was_replaced_leaves_the_log_whatever_else_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.db");
    let file = path.clone();
    let open = move || Keystore::open(&file, &DatabaseKey::try_from([7; 32].as_slice())?);
    let engine = started(open).expect("it can be created");
    let stored = || {
        done(&set(&engine, "secret", b"1"));
        done(&set(&engine, "secret", b"2"));
        assert!(!is_clean(&path));
    };

    stored();
    works_until_clean(&path, || drop(value(&engine, "secret")));
    stored();
    works_until_clean(&path, || {
        let failed = step(&engine, |_| -> Result<()> { Err(Error::invalid("of no use")) });
        assert_eq!(code(&failed), Code::InvalidArgument);
    });
    stored();
    done(&control(&engine, Session::begin));
    works_until_clean(&path, || done(&set(&engine, "inside", b"3")));
    done(&control(&engine, Session::rollback));
    stored();
    let panicked = step(&engine, |_| -> Result<()> { panic!("a test of what cannot happen") });
    assert_eq!(code(&panicked), Code::InternalError);
    works_until_clean(&path, || {
        assert_eq!(code(&set(&engine, "after", b"4")), Code::InternalError);
    });
}

#[test]
fn old_key_packages_go_though_work_goes_on() {
    let engine = in_memory();
    done(&step(&engine, |session| session.bind(b"alice")));
    let made = step(&engine, |session| {
        session.set_time(Some(1_700_000_000_000));
        let basic = conclave_core::credential::Credential::Basic(b"alice".to_vec());
        let credential = session.add_credential(1, basic)?;
        session.generate_key_packages(&credential.reference, 3, None, false)
    });
    assert_eq!(done(&made).len(), 3);
    // A year later they have ended, and their grace is over.
    done(&step(&engine, |session| {
        session.set_time(Some(1_700_000_000_000 + 365 * 24 * 60 * 60 * 1000));
        Ok(())
    }));
    let begun = std::time::Instant::now();
    while !done(&step(&engine, |session| session.key_packages())).is_empty() {
        assert!(begun.elapsed().as_secs() < 60, "work has put it off");
    }
}
