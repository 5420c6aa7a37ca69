//! The worker against the world outside of it: processes, signals, sockets, a real sshd.

#[cfg(test)]
mod git_https;
#[cfg(test)]
mod git_ssh;
#[cfg(test)]
mod large;
#[cfg(test)]
mod process;
#[cfg(test)]
mod world;
