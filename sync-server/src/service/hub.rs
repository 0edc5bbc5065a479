//! Who waits for news. Each connection has a [`Seat`]; one that stays is entered under the members it follows, or as a
//! terminal's. A commit or a published list marks the seats it concerns and wakes their connections, which then read
//! what is new by themselves: nothing is queued but the fact that there is something.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bhyt_core::ids::MemberId;
use bhyt_core::keys::{KeyId, PublicKey};
use bhyt_core::status::StatusVersion;
use bhyt_core::sync::messages::MemberCursor;
use bhyt_core::sync::personal::PersonalCursor;
use tokio::sync::Notify;

use super::answer::Peer;
use super::feed_answer::FeedForm;

/// All seats taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hub {
    books: Arc<Mutex<Books>>,
}

#[derive(Debug, Default)]
struct Books {
    next: u64,
    seats: HashMap<u64, Weak<Seat>>,
    keys: HashMap<KeyId, BTreeSet<u64>>,
    members: HashMap<MemberId, BTreeSet<u64>>,
    terminals: BTreeSet<u64>,
}

impl Hub {
    /// Takes a seat for a connection.
    pub(crate) fn join(&self, key: PublicKey, address: IpAddr) -> Arc<Seat> {
        let mut books = lock(&self.books);
        let number = books.next;
        books.next += 1;
        let seat = Arc::new(Seat {
            number,
            peer: Peer { key, address },
            hub: self.clone(),
            wake: Notify::new(),
            state: Mutex::default(),
        });
        books.seats.insert(number, Arc::downgrade(&seat));
        books.keys.entry(key.key_id()).or_default().insert(number);
        seat
    }

    /// There is something new of these members.
    pub(crate) fn announce(&self, members: &[MemberId]) {
        for member in members {
            for seat in self.seats(|books| books.members.get(member)) {
                seat.mark(|news| {
                    news.members.insert(*member);
                });
            }
        }
    }

    /// A status version was published.
    pub(crate) fn announce_status(&self) {
        for seat in self.seats(|books| Some(&books.terminals)) {
            seat.mark(|news| news.status = true);
        }
    }

    /// A trust bundle came into force.
    pub(crate) fn announce_trust(&self) {
        let seats: Vec<_> = {
            let books = lock(&self.books);
            books.seats.values().filter_map(Weak::upgrade).collect()
        };
        for seat in seats {
            seat.mark(|news| news.trust = true);
        }
    }

    /// The holder of this key is retired.
    pub(crate) fn retire(&self, key: &PublicKey) {
        for seat in self.seats(|books| books.keys.get(&key.key_id())) {
            seat.mark(|news| news.retired = true);
        }
    }

    /// Connections open now.
    pub(crate) fn connections(&self) -> u64 {
        lock(&self.books).seats.len() as u64
    }

    fn seats(&self, chosen: impl FnOnce(&Books) -> Option<&BTreeSet<u64>>) -> Vec<Arc<Seat>> {
        let books = lock(&self.books);
        let numbers = chosen(&books).into_iter().flatten();
        numbers.filter_map(|number| books.seats.get(number)?.upgrade()).collect()
    }

    fn follow(&self, number: u64, members: impl IntoIterator<Item = MemberId>) {
        let mut books = lock(&self.books);
        for member in members {
            books.members.entry(member).or_default().insert(number);
        }
    }

    fn leave(&self, seat: &Seat) {
        let state = lock(&seat.state);
        let followed: Vec<MemberId> = match &state.following {
            Following::Wallet { members, .. } => members.keys().copied().collect(),
            Following::Nothing | Following::Terminal { .. } => Vec::new(),
        };
        drop(state);
        let mut books = lock(&self.books);
        books.seats.remove(&seat.number);
        books.terminals.remove(&seat.number);
        remove_from(&mut books.keys, &seat.peer.key.key_id(), seat.number);
        for member in followed {
            remove_from(&mut books.members, &member, seat.number);
        }
    }
}

/// A connection as the service sees it. Left when dropped.
#[derive(Debug)]
pub struct Seat {
    number: u64,
    peer: Peer,
    hub: Hub,
    wake: Notify,
    state: Mutex<SeatState>,
}

#[derive(Debug, Default)]
struct SeatState {
    following: Following,
    /// How far the client is in the personal documents that it has asked for.
    personal: BTreeMap<MemberId, PersonalCursor>,
    news: News,
}

/// What a connection stays for, and how far its client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Following {
    #[default]
    Nothing,
    Wallet {
        trust: u64,
        form: FeedForm,
        members: BTreeMap<MemberId, MemberCursor>,
    },
    Terminal {
        trust: u64,
        status: Option<(StatusVersion, KeyId)>,
    },
}

/// What there is news of. The news themselves are read when they are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    pub(crate) members: BTreeSet<MemberId>,
    pub(crate) trust: bool,
    pub(crate) status: bool,
    pub(crate) retired: bool,
}

impl News {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Seat {
    /// Who sits here.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Waits until there is news, and takes note of it. Cancel-safe.
    pub async fn news(&self) -> News {
        loop {
            let woken = self.wake.notified();
            let news = std::mem::take(&mut lock(&self.state).news);
            if !news.is_empty() {
                return news;
            }
            woken.await;
        }
    }

    /// What there is news of now, without waiting.
    pub fn news_now(&self) -> Option<News> {
        let news = std::mem::take(&mut lock(&self.state).news);
        (!news.is_empty()).then_some(news)
    }

    /// How far the client is.
    pub(crate) fn following(&self) -> Following {
        lock(&self.state).following.clone()
    }

    /// Follows these members from now on, with those followed before; what changes meanwhile is news.
    pub(crate) fn follow_members(&self, trust: u64, form: FeedForm, cursors: &[MemberCursor]) {
        let mut state = lock(&self.state);
        let new = cursors.iter().map(|cursor| (cursor.member, *cursor));
        match &mut state.following {
            Following::Wallet { trust: held, form: read, members } => {
                (*held, *read) = (trust, form);
                members.extend(new);
            }
            Following::Nothing | Following::Terminal { .. } => {
                let members = new.collect();
                state.following = Following::Wallet { trust, form, members };
            }
        }
        drop(state);
        self.hub.follow(self.number, cursors.iter().map(|cursor| cursor.member));
    }

    /// Follows status list and trust from now on.
    pub(crate) fn follow_lists(&self, trust: u64, status: Option<(StatusVersion, KeyId)>) {
        lock(&self.state).following = Following::Terminal { trust, status };
        lock(&self.hub.books).terminals.insert(self.number);
    }

    /// Notes how far the client is after something was sent to it.
    pub(crate) fn note(&self, following: Following) {
        let mut state = lock(&self.state);
        if state.following != Following::Nothing {
            state.following = following;
        }
    }

    /// How far the client is in a member's personal document; `None` when it never asked.
    pub(crate) fn personal(&self, member: MemberId) -> Option<PersonalCursor> {
        lock(&self.state).personal.get(&member).cloned()
    }

    /// Notes how far the client is about to be in a personal document of a member that it holds; returns what was noted
    /// before.
    pub(crate) fn note_personal(
        &self,
        member: MemberId,
        place: Option<PersonalCursor>,
    ) -> Option<PersonalCursor> {
        let mut state = lock(&self.state);
        match place {
            Some(place) => state.personal.insert(member, place),
            None => state.personal.remove(&member),
        }
    }

    fn mark(&self, mark: impl FnOnce(&mut News)) {
        mark(&mut lock(&self.state).news);
        self.wake.notify_one();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.clone().leave(self);
    }
}

fn remove_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, BTreeSet<u64>>, key: &K, number: u64) {
    if let Some(numbers) = map.get_mut(key) {
        numbers.remove(&number);
        if numbers.is_empty() {
            map.remove(key);
        }
    }
}

/// Never held across an await; a panic elsewhere leaves the books usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
