//! Watches ProcessJobs and pods, keeps one actor for each job that is not over.
