mod noted;
mod redo;
mod segments;
mod world;

pub(super) use world::StandIn;
