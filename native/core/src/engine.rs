//! The thread that owns an open keystore, and the queue in front of it.
//!
//! Steps run one after the other, in the order they were submitted. Outside a transaction those that are waiting together are
//! stored together: one fsync serves them all, and nobody is answered before it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::keystore::Keystore;
use crate::session::Session;

/// How many steps share an fsync at most.
const BATCH: usize = 256;
/// How long after the first step that may have deleted something it leaves the files, at the
/// latest, whatever comes after it. What could not be done then is tried again so much later.
const DEADLINE: Duration = Duration::from_secs(1);
/// How long to wait for a moment of the clock at most, since clocks are set and computers sleep.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// The way to a keystore's thread. Dropping it ends the thread, which closes the keystore.
pub struct Engine {
    jobs: Sender<Job>,
}

enum Job {
    /// Shares an fsync with its neighbours.
    Step(Box<dyn Task>),
    /// Opens or ends a transaction: what came before is stored first.
    Control(Box<dyn Task>),
    Close(Closing),
}

/// Work with its answer, split so that the answer can wait for the fsync.
trait Task: Send {
    fn run(&mut self, session: &mut Session);
    fn answer(self: Box<Self>, stored: Result<()>);
}

struct TypedTask<R, W, D: FnOnce(Result<R>)> {
    work: Option<W>,
    result: Option<Result<R>>,
    done: Option<D>,
}

impl<R, W, D> Task for TypedTask<R, W, D>
where
    R: Send,
    W: FnOnce(&mut Session) -> Result<R> + Send,
    D: FnOnce(Result<R>) + Send,
{
    fn run(&mut self, session: &mut Session) {
        self.result = self.work.take().map(|work| work(session));
    }

    fn answer(mut self: Box<Self>, stored: Result<()>) {
        let result = self.result.take();
        let result = result.unwrap_or_else(|| Err(Error::internal("a step was answered before it ran")));
        if let Some(done) = self.done.take() {
            done(stored.and(result));
        }
    }
}

/// A task that is queued at the very moment when the queue ends is dropped with it, and answered by that.
impl<R, W, D: FnOnce(Result<R>)> Drop for TypedTask<R, W, D> {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(closed()));
        }
    }
}

/// Who waits for the end. One that is dropped comes after the end.
struct Closing(Option<Box<dyn FnOnce(Result<()>) + Send>>);

impl Closing {
    fn answer(mut self, closed: Result<()>) {
        if let Some(done) = self.0.take() {
            done(closed);
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Ok(()));
        }
    }
}

impl Engine {
    /// Opens a keystore on a thread of its own; `done` is called there with the engine or the failure. Fails, without calling
    /// it, when there is no thread to be had.
    pub fn start(
        open: impl FnOnce() -> Result<Keystore> + Send + 'static,
        done: impl FnOnce(Result<Engine>) + Send + 'static,
    ) -> Result<()> {
        let work = move || match guarded(open) {
            Ok(keystore) => {
                let (jobs, queue) = channel();
                done(Ok(Engine { jobs }));
                run(Session::new(keystore), &queue);
            }
            Err(error) => done(Err(error)),
        };
        let spawned = thread::Builder::new().name("conclave".into()).spawn(work);
        spawned
            .map(drop)
            .map_err(|cause| Error::internal("no thread could be started").caused_by(cause))
    }

    /// Queues a step. `done` is called on the engine's thread, or after the end on this one, once what the step did is stored (inside a transaction: done), or
    /// with the reason why nothing of it was.
    pub fn step<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<R> + Send + 'static,
        done: impl FnOnce(Result<R>) + Send + 'static,
    ) {
        let work = |session: &mut Session| session.step(work);
        self.send(Job::Step(Box::new(TypedTask {
            work: Some(work),
            result: None,
            done: Some(done),
        })));
    }

    /// Queues what opens or ends a transaction.
    pub fn control<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<R> + Send + 'static,
        done: impl FnOnce(Result<R>) + Send + 'static,
    ) {
        self.send(Job::Control(Box::new(TypedTask {
            work: Some(work),
            result: None,
            done: Some(done),
        })));
    }

    /// Ends the engine after what was queued before. `done` is called when the files are closed and unlocked.
    pub fn close(&self, done: impl FnOnce(Result<()>) + Send + 'static) {
        self.send(Job::Close(Closing(Some(Box::new(done)))));
    }

    fn send(&self, job: Job) {
        // One that comes after the end is dropped.
        drop(self.jobs.send(job));
    }
}

fn run(session: Session, queue: &Receiver<Job>) {
    let mut server = Server {
        session,
        poison: None,
        due: Some(Instant::now() + DEADLINE),
    };
    loop {
        let (steps, barrier) = match queue.recv_timeout(server.wait()) {
            Ok(job) => batch(job, queue),
            Err(RecvTimeoutError::Timeout) => {
                server.rest();
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => {
                let _ = guarded(|| server.session.close());
                return;
            }
        };
        server.owe();
        server.serve(steps);
        match barrier {
            Some(Job::Close(done)) => {
                let closed = guarded(|| server.session.close());
                return done.answer(closed);
            }
            Some(Job::Control(mut task)) => {
                let ran = server.run(&mut *task);
                task.answer(ran);
            }
            Some(Job::Step(_)) | None => {}
        }
        if server.wait().is_zero() {
            server.rest();
        }
    }
}

/// The steps that are waiting together, and what comes after them: a job that is not a step.
fn batch(first: Job, queue: &Receiver<Job>) -> (Vec<Box<dyn Task>>, Option<Job>) {
    let mut steps = Vec::new();
    let mut job = Some(first);
    while let Some(next) = job {
        match next {
            Job::Step(step) => steps.push(step),
            barrier => return (steps, Some(barrier)),
        }
        job = if steps.len() < BATCH {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    (steps, None)
}

struct Server {
    session: Session,
    poison: Option<Error>,
    /// When to rest: it runs from the first step since the last rest, and later ones do not put it
    /// off. `None`: nothing is owed.
    due: Option<Instant>,
}

impl Server {
    /// Runs steps in order, stores what they did together, and answers them in order.
    fn serve(&mut self, steps: Vec<Box<dyn Task>>) {
        let mut waiting = Vec::new();
        for mut step in steps {
            self.clean_in_time();
            match self.run(&mut *step) {
                Ok(()) if self.session.in_transaction() => step.answer(Ok(())),
                Ok(()) => waiting.push(step),
                Err(error) => step.answer(Err(error)),
            }
        }
        if waiting.is_empty() {
            return;
        }
        if cfg!(feature = "answers-before-storing") {
            // What the crash tests must be able to find. No release is built with it.
            waiting.drain(..).for_each(|step| step.answer(Ok(())));
        }
        let stored = match &self.poison {
            Some(error) => Err(error.clone()),
            None => guarded(|| self.session.store()),
        };
        for step in waiting {
            step.answer(stored.clone());
        }
    }

    /// How long it is until the next rest; zero: it is due.
    fn wait(&self) -> Duration {
        match self.due {
            Some(due) => due.saturating_duration_since(Instant::now()),
            // The memory of a session that panicked is asked nothing.
            None if self.poison.is_some() => LONGEST_WAIT,
            None => self.session.until_tidy().min(LONGEST_WAIT),
        }
    }

    /// Something is about to be done that may have to be cleaned up.
    fn owe(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + DEADLINE);
    }

    /// Deletes what is to be deleted, also from the log, and remembers when there will be more to
    /// do. After a panic the log is all that is touched: the file has only what was stored.
    fn rest(&mut self) {
        let mut more = false;
        let rested = guarded(|| {
            more = match &self.poison {
                None => self.session.idle().unwrap_or(true),
                Some(_) => self.session.clean().is_err(),
            };
            Ok(())
        });
        if self.poison.is_none() {
            self.poison = rested.err();
        }
        self.due = more.then(|| Instant::now() + DEADLINE);
    }

    /// Empties the log where its time is up in the middle of a batch. What fails is tried again by
    /// the rest that is due.
    fn clean_in_time(&self) {
        let since = self.session.unclean_since();
        if since.is_some_and(|since| since.elapsed() >= DEADLINE) {
            let _ = guarded(|| self.session.clean());
        }
    }

    /// Runs one task unless one before it panicked. What memory holds may then be half-done; the file is whole, since it only
    /// has what was stored.
    fn run(&mut self, task: &mut dyn Task) -> Result<()> {
        if let Some(error) = &self.poison {
            return Err(error.clone());
        }
        let ran = guarded(|| {
            task.run(&mut self.session);
            Ok(())
        });
        self.poison = ran.clone().err();
        ran
    }
}

fn closed() -> Error {
    Error::new(Code::DatabaseClosed, "The database is closed. Open it again.")
}

/// Turns a panic into an error. The process does not exit meanwhile.
fn guarded<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    catch_unwind(AssertUnwindSafe(|| unsafe_calls::at_work(work))).unwrap_or_else(|_| {
        Err(Error::new(
            Code::InternalError,
            "Something that cannot happen did, and this session cannot go on. Nothing stored is lost: close it and open it \
             again. Please report it.",
        ))
    })
}
