//! Sharing what a node has among tenants, so that one tenant's flood leaves something for all others.
//!
//! A tenant may hold a fixed multiple of what is still free, so the more is taken, the less each may have: dynamic
//! thresholds, as in the shared memory of packet switches (Choudhury and Hahne, 1998). One tenant alone reaches the share, and no
//! number of tenants takes all.

/// The part of anything shared that one tenant may hold while the others hold nothing, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FairShare(u8);

impl FairShare {
    /// So many percent; a hundred, or more, for no bound.
    pub const fn percent(percent: u8) -> Self {
        Self(if percent > 100 { 100 } else { percent })
    }

    /// Whether a tenant may hold so much if so much is then left for all.
    pub fn allows(self, held: usize, left: usize) -> bool {
        let [held, left] = [held, left].map(|amount| u128::try_from(amount).unwrap_or(u128::MAX / 100));
        held * u128::from(100 - self.0) <= left * u128::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lets tenants take, one unit after the other, until none gets any more.
    fn fill(share: FairShare, tenants: usize, most: usize) -> Vec<usize> {
        let mut held = vec![0; tenants];
        loop {
            let before = held.clone();
            for tenant in 0..tenants {
                let left = most - held.iter().sum::<usize>();
                if left > 0 && share.allows(held[tenant] + 1, left - 1) {
                    held[tenant] += 1;
                }
            }
            if held == before {
                return held;
            }
        }
    }

    #[test]
    fn one_tenant_gets_its_share_and_several_get_equal_ones() {
        for (percent, tenants, expected) in [
            (50, 1, 50),
            (50, 2, 33),
            (50, 4, 20),
            (75, 1, 75),
            (75, 2, 42),
            (100, 1, 100),
            (0, 1, 0),
        ] {
            let held = fill(FairShare::percent(percent), tenants, 100);
            assert!(
                held.iter().all(|held| held.abs_diff(expected) <= 1),
                "{percent} percent: {held:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn whoever_holds_nothing_gets_something(percent in 1..=99_u8, tenants in 1..8_usize, most in 400..2_000_usize) {
            let share = FairShare::percent(percent);
            let left = most - fill(share, tenants, most).iter().sum::<usize>();
            prop_assert!(share.allows(1, left.saturating_sub(1)) || left * usize::from(percent) < 100);
        }
    }
}
