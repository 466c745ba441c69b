//! The data of a step: work orders for agents, outputs from their reports, publishing.
