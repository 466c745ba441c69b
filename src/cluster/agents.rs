//! The operator's side of the agent protocol: TLS, tokens, sessions; each call goes to its job's actor.
