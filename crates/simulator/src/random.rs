//! Random numbers that are the same on every machine.

use fastrand::Rng;

/// A number with mean 0 and variance 1, from four uniform ones (Irwin–Hall), which needs no logarithm.
pub fn normal(random: &mut Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| random.f64()).sum();
    (sum - 2.0) * 3.0_f64.sqrt()
}

/// How many come where `mean` are expected and each comes by itself: variance and mean are the same, as with Poisson's law.
pub fn count(random: &mut Rng, mean: f64) -> u64 {
    if mean <= 0.0 {
        return 0;
    }
    // Adding up to one before cutting off keeps the mean also where less than one is expected.
    (mean + mean.sqrt().min(mean) * normal(random) + random.f64()).max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mean: f64) {
        let mut random = Rng::with_seed(7);
        let counts: Vec<f64> = (0..20_000).map(|_| count(&mut random, mean) as f64).collect();
        let found = counts.iter().sum::<f64>() / 20_000.0;
        assert!((found - mean).abs() < 0.03 * mean.max(1.0), "{found} for {mean}");
    }

    #[test]
    fn as_many_come_as_are_expected() {
        for mean in [0.0, 0.3, 2.0, 83.0, 5000.0] {
            check(mean);
        }
    }
}
