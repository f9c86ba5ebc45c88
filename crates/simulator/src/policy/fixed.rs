//! Always the same count.

use super::Policy;
use crate::world::World;

pub struct Fixed(pub u32);

impl Policy for Fixed {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        (world.replicas != self.0).then_some(self.0)
    }
}
