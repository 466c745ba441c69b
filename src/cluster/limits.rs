//! Every limit of the operator with its unit and its reason (invariant I7).
