//! `make bench`: Windlass beside a shell script, pyinfra and Ansible, on the same nodes in the same minutes; and
//! what the core alone costs. Times on a shared machine wander, so the tools take turns and only ratios count.

mod cluster;
mod content;
mod hooks;
mod idle;
mod machine;
mod nodes;
mod numbers;
mod previews;
mod pushes;
mod report;
mod rounds;
mod scale;
mod tool;
mod workspace;

pub use hooks::{Hooks, hooks};
pub use idle::{Idle, idle};
pub use machine::Machine;
pub use previews::{Previews, previews};
pub use pushes::{Pushes, pushes};
pub use report::{Report, markdown};
pub use rounds::{Measured, compare};
pub use scale::{SIZES, Scale, measure_here, scales};
pub use tool::Tool;
pub use workspace::Workspace;
