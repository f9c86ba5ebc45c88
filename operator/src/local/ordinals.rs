//! Which replicas of a Deployment there are to be, by their numbers. Pure.

use std::{cmp::Reverse, collections::BTreeSet};

/// Which numbers `count` replicas are to have: of those that run, each with its messages in work, as many as are wanted, those
/// with the most first; then the lowest numbers that nobody has, nor one that has yet to end.
pub fn choose(mut running: Vec<(i32, u32)>, draining: &BTreeSet<i32>, count: usize) -> Vec<i32> {
    running.sort_by_key(|&(ordinal, in_work)| (Reverse(in_work), ordinal));
    let mut chosen: Vec<_> = running.into_iter().map(|(ordinal, _)| ordinal).take(count).collect();
    let kept: BTreeSet<_> = chosen.iter().copied().collect();
    let free = (0..).filter(|ordinal| !kept.contains(ordinal) && !draining.contains(ordinal));
    chosen.extend(free.take(count - kept.len()));
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(running: &[(i32, u32)], draining: &[i32], count: usize, expected: &[i32]) {
        assert_eq!(choose(running.to_vec(), &draining.iter().copied().collect(), count), expected);
    }

    #[test]
    fn the_replicas_with_the_least_in_work_end_first_and_the_last_one_of_equals() {
        check(&[(0, 5), (1, 0), (2, 7)], &[], 2, &[0, 2]);
        check(&[(0, 5), (1, 0), (2, 7)], &[], 1, &[2]);
        check(&[(0, 0), (1, 0), (2, 0)], &[], 2, &[0, 1]);
    }

    #[test]
    fn a_new_replica_has_a_number_that_nobody_has_nor_one_that_has_yet_to_end() {
        check(&[], &[], 2, &[0, 1]);
        check(&[(2, 7)], &[0], 3, &[1, 2, 3]);
    }
}
