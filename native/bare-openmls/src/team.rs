//! The same people as in bench/team.ts, doing the same.

use std::time::Instant;

use crate::client::{Client, Membership};
use crate::limits::PAST_EPOCHS;

const MANY: usize = 100;
const PLAINTEXT: [u8; 1024] = [7; 1024];

/// A group that alice has founded. One member in twenty takes part; bob is the first of them. Each has sent in the present
/// epoch and in every past one that is kept.
pub(crate) struct Team {
    alice: Client,
    group: Membership,
    active: Vec<(Client, Membership)>,
    next: usize,
    /// Everybody's but alice's and the joiner's.
    key_packages: Vec<Vec<u8>>,
    /// Joins a group that is made for it, of the same size, and leaves it again.
    joiner: Client,
    welcome: Vec<u8>,
    commit: Vec<u8>,
}

impl Team {
    pub(crate) fn of(members: usize) -> Team {
        let alice = Client::of("alice");
        let others: Vec<Client> = (1..members).map(|n| Client::of(&format!("member {n}"))).collect();
        let mut key_packages: Vec<Vec<u8>> = others.iter().map(Client::key_package).collect();
        let mut group = alice.create();
        let welcome = group.add(&alice, &key_packages);
        let join = |client: Client| {
            let membership = client.join(&welcome);
            (client, membership)
        };
        let active = others.into_iter().step_by(20).map(join).collect();
        key_packages.pop();
        let mut team = Team {
            alice,
            group,
            active,
            next: 0,
            key_packages,
            joiner: Client::of("joiner"),
            welcome: Vec::new(),
            commit: Vec::new(),
        };
        team.everybody_sends();
        for _ in 0..PAST_EPOCHS {
            team.update();
            team.process();
        }
        team
    }

    pub(crate) fn key_packages(&mut self) -> f64 {
        micros(|| (0..MANY).for_each(|_| drop(self.joiner.key_package())))
    }

    pub(crate) fn add(&mut self) -> f64 {
        let joiner = std::iter::once(self.joiner.key_package());
        let key_packages: Vec<Vec<u8>> = self.key_packages.iter().cloned().chain(joiner).collect();
        let mut group = self.alice.create();
        let took = micros(|| self.welcome = group.add(&self.alice, &key_packages));
        group.leave_nothing(&self.alice);
        took
    }

    /// Joins the group of the last add.
    pub(crate) fn join(&mut self) -> f64 {
        let mut joined = None;
        let took = micros(|| joined = Some(self.joiner.join(&self.welcome)));
        joined.unwrap().leave_nothing(&self.joiner);
        took
    }

    /// What each of many messages costs alice.
    pub(crate) fn encrypt(&mut self) -> f64 {
        micros(|| (0..MANY).for_each(|_| drop(self.group.encrypt(&self.alice, &PLAINTEXT)))) / MANY as f64
    }

    /// What each of many messages of the active members costs alice.
    pub(crate) fn receive(&mut self) -> f64 {
        let messages = self.messages(MANY);
        micros(|| {
            messages
                .iter()
                .for_each(|message| self.group.receive(&self.alice, message))
        }) / MANY as f64
    }

    /// Alice renews her keys.
    pub(crate) fn update(&mut self) -> f64 {
        micros(|| self.commit = self.group.update(&self.alice))
    }

    /// Bob takes in the commit of the last update; the others do so too, and everybody sends in the new epoch.
    pub(crate) fn process(&mut self) -> f64 {
        let [(bob, membership), others @ ..] = self.active.as_mut_slice() else {
            panic!("there is a second member")
        };
        let took = micros(|| membership.receive(bob, &self.commit));
        for (client, membership) in others {
            membership.receive(client, &self.commit);
        }
        self.everybody_sends();
        took
    }

    fn everybody_sends(&mut self) {
        self.group.encrypt(&self.alice, &PLAINTEXT);
        for message in self.messages(self.active.len()) {
            self.group.receive(&self.alice, &message);
        }
    }

    /// Messages of the active members, who take turns.
    fn messages(&mut self, count: usize) -> Vec<Vec<u8>> {
        let message = |_| {
            self.next = (self.next + 1) % self.active.len();
            let (client, membership) = &mut self.active[self.next];
            membership.encrypt(client, &PLAINTEXT)
        };
        (0..count).map(message).collect()
    }
}

fn micros(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}
