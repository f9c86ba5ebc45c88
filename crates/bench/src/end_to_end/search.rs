//! Which rate to try next. Pure.
//!
//! Upwards by half until one does not hold, then between the highest that held and the lowest that did not.

/// Rates are multiples of this: whole requests per second.
pub const STEP: u32 = 500;
const FIRST: u32 = 4000;
/// No rate above this is tried: the load generator itself would be what is measured.
const MOST: u32 = 60_000;

/// What is known so far, in messages per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The highest rate that held, and below which none failed.
    held: Option<u32>,
    /// The lowest one that did not.
    failed: Option<u32>,
}

impl Search {
    /// The next rate to try; `None` once the two are a twentieth apart.
    pub fn next(self) -> Option<u32> {
        match (self.held, self.failed) {
            (None, None) => Some(FIRST),
            (Some(held), None) => (held < MOST).then(|| rounded(held + held / 2).min(MOST)),
            (None, Some(failed)) => (failed > STEP).then(|| rounded(failed / 2)),
            (Some(held), Some(failed)) => {
                (failed - held > STEP.max(held / 20)).then(|| rounded(u32::midpoint(held, failed)))
            }
        }
    }

    /// A rate was tried. One below a rate that held tells nothing new, unless it failed: then it was luck.
    pub fn note(&mut self, rate: u32, held: bool) {
        if held {
            self.held = self.held.max(Some(rate));
        } else {
            self.failed = Some(self.failed.map_or(rate, |failed| failed.min(rate)));
            self.held = self.held.filter(|held| *held < rate);
        }
    }

    /// The rate to try for longer: what held, or a tenth less than what did not.
    pub fn to_confirm(self) -> Option<u32> {
        let less = |failed: u32| Some(failed.saturating_sub(STEP.max(failed / 10))).filter(|rate| *rate >= STEP);
        self.held.or_else(|| self.failed.and_then(less).map(rounded))
    }
}

/// Down to whole steps.
fn rounded(rate: u32) -> u32 {
    (rate / STEP).max(1) * STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All rates that are tried where everything up to `capacity` holds, and what is found.
    #[track_caller]
    fn check(capacity: u32, tried: &[u32], found: Option<u32>) {
        let (mut search, mut rates) = (Search::default(), Vec::new());
        while let Some(rate) = search.next() {
            search.note(rate, rate <= capacity);
            rates.push(rate);
        }
        assert_eq!((rates.as_slice(), search.held), (tried, found), "{capacity}");
    }

    #[test]
    fn the_highest_rate_is_approached_from_both_sides() {
        check(10_200, &[4000, 6000, 9000, 13_500, 11_000, 10_000, 10_500], Some(10_000));
        check(4100, &[4000, 6000, 5000, 4500], Some(4000));
    }

    #[test]
    fn a_service_that_holds_little_is_found_too() {
        check(600, &[4000, 2000, 1000, 500], Some(500));
        check(0, &[4000, 2000, 1000, 500], None);
    }

    #[test]
    fn the_load_generator_s_own_limit_ends_the_search() {
        let mut search = Search::default();
        search.note(MOST, true);
        assert_eq!((search.next(), search.held), (None, Some(MOST)));
    }

    #[test]
    fn a_rate_that_does_not_hold_for_longer_makes_room_for_a_tenth_less() {
        let mut search = Search::default();
        search.note(10_000, true);
        assert_eq!(search.to_confirm(), Some(10_000));
        search.note(10_000, false);
        assert_eq!((search.held, search.to_confirm()), (None, Some(9000)));
        search.note(500, false);
        assert_eq!(search.to_confirm(), None);
    }
}
