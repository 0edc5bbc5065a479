//! How bad a network is, and what becomes of one datagram after the other in it, by a seed alone.

use std::time::Duration;

use crate::dice::Dice;

/// How bad a network is. Shares are of a thousand datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// Datagrams lost.
    pub lost: u16,
    /// Datagrams that come twice.
    pub doubled: u16,
    /// Datagrams held back so long that later ones overtake them.
    pub overtaken: u16,
    /// Time on the way.
    pub delay: Duration,
    /// And up to this much more, for each datagram anew.
    pub jitter: Duration,
    /// The client gets another address after about this many datagrams; 0 for never.
    pub rebinds_after: u32,
    /// The line goes silent after about this many datagrams; 0 for never.
    pub silent_after: u32,
    /// And loses this many in a row.
    pub silent_for: u32,
}

impl Weather {
    /// Everything arrives at once.
    pub const FAIR: Self = Self {
        lost: 0,
        doubled: 0,
        overtaken: 0,
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        rebinds_after: 0,
        silent_after: 0,
        silent_for: 0,
    };

    /// A tenth lost each way and 100 ms on the way: a phone at the edge of coverage.
    pub const EDGE_OF_COVERAGE: Self = Self { lost: 100, delay: Duration::from_millis(100), ..Self::FAIR };

    /// A little of everything: a commune's line on a bad day.
    pub const ROUGH: Self = Self {
        lost: 30,
        doubled: 10,
        overtaken: 20,
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(30),
        rebinds_after: 400,
        silent_after: 600,
        silent_for: 12,
    };
}

/// What becomes of one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// When each copy is handed on; empty when it is lost.
    pub copies: Vec<Duration>,
    /// The client's address changes before it.
    pub rebinds: bool,
}

/// The fates of one client's datagrams in one direction, in the order in which they come.
#[derive(Clone, Debug)]
pub struct Fates {
    weather: Weather,
    dice: Dice,
    rebinds_in: u32,
    silent_in: u32,
    silent_left: u32,
}

impl Fates {
    /// The fates of a seed.
    pub fn new(weather: Weather, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let rebinds_in = about(weather.rebinds_after, &mut dice);
        let silent_in = about(weather.silent_after, &mut dice);
        Self { weather, dice, rebinds_in, silent_in, silent_left: 0 }
    }

    /// What becomes of the next datagram. As many throws for each, whatever comes of them.
    pub fn draw(&mut self) -> Fate {
        let weather = self.weather;
        let [lost, doubled, overtaken] =
            [weather.lost, weather.doubled, weather.overtaken].map(|share| self.hits(share));
        let (first, second) = (self.time(), self.time());
        let rebinds = counted(&mut self.rebinds_in, weather.rebinds_after, &mut self.dice);
        if counted(&mut self.silent_in, weather.silent_after, &mut self.dice) {
            self.silent_left = weather.silent_for;
        }
        let silent = self.silent_left > 0;
        self.silent_left = self.silent_left.saturating_sub(1);
        let mut copies = Vec::new();
        if !lost && !silent {
            copies.push(if overtaken { first + first + OVERTAKEN_BY } else { first });
            if doubled {
                copies.push(second);
            }
        }
        Fate { copies, rebinds }
    }

    fn hits(&mut self, share: u16) -> bool {
        self.dice.below(1_000) < u64::from(share)
    }

    fn time(&mut self) -> Duration {
        let jitter = u64::try_from(self.weather.jitter.as_micros()).unwrap_or(u64::MAX);
        self.weather.delay + Duration::from_micros(self.dice.below(jitter.saturating_add(1)))
    }
}

/// Counts down to an event that comes after about `every`; whether it has come.
fn counted(left: &mut u32, every: u32, dice: &mut Dice) -> bool {
    if every == 0 {
        return false;
    }
    *left = left.saturating_sub(1);
    let comes = *left == 0;
    if comes {
        *left = about(every, dice);
    }
    comes
}

/// Between half and one and a half of `every`.
fn about(every: u32, dice: &mut Dice) -> u32 {
    let drawn = u64::from(every / 2) + dice.below(u64::from(every) + 1);
    u32::try_from(drawn).unwrap_or(u32::MAX).max(1)
}

/// Longer than datagrams of one flight are apart.
const OVERTAKEN_BY: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(weather: Weather, seed: u64, count: usize) -> Vec<Fate> {
        let mut fates = Fates::new(weather, seed);
        (0..count).map(|_| fates.draw()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_fates_and_another_seed_others() {
        assert_eq!(fates(Weather::ROUGH, 7, 5_000), fates(Weather::ROUGH, 7, 5_000));
        assert_ne!(fates(Weather::ROUGH, 7, 5_000), fates(Weather::ROUGH, 8, 5_000));
    }

    #[test]
    fn in_fair_weather_everything_arrives_once_and_at_once() {
        let once = Fate { copies: vec![Duration::ZERO], rebinds: false };
        assert!(fates(Weather::FAIR, 1, 1_000).iter().all(|fate| *fate == once));
    }

    #[test]
    fn shares_and_times_are_those_of_the_weather() {
        let fates = fates(Weather { silent_after: 0, ..Weather::ROUGH }, 3, 100_000);
        let share = |hits: &dyn Fn(&Fate) -> bool| fates.iter().filter(|fate| hits(fate)).count();
        let lost = share(&|fate| fate.copies.is_empty());
        assert!((2_700..3_300).contains(&lost), "{lost}");
        let doubled = share(&|fate| fate.copies.len() == 2);
        assert!((800..1_200).contains(&doubled), "{doubled}");
        let rebound = share(&|fate| fate.rebinds);
        assert!((200..300).contains(&rebound), "{rebound}");
        let late = share(&|fate| fate.copies.first().is_some_and(|wait| *wait > Duration::from_millis(50)));
        assert!((1_000..2_100).contains(&late), "{late} overtaken");
        assert!(fates.iter().flat_map(|fate| &fate.copies).all(|wait| *wait >= Duration::from_millis(20)));
    }

    #[test]
    fn a_silence_is_in_a_row_and_ends() {
        let weather = Weather { silent_after: 100, silent_for: 9, ..Weather::FAIR };
        let gone: Vec<bool> = fates(weather, 5, 10_000).iter().map(|fate| fate.copies.is_empty()).collect();
        let silences: Vec<usize> =
            gone.split(|gone| !gone).map(<[bool]>::len).filter(|length| *length > 0).collect();
        assert!((60..150).contains(&silences.len()), "{}", silences.len());
        assert!(silences.iter().rev().skip(1).all(|length| *length == 9), "{silences:?}");
    }
}
