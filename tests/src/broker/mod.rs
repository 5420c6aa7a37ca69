//! Real RabbitMQ, started by the test that needs it and gone with it: one node or a cluster, on ports and in
//! directories of its own, with an Erlang name server and a cookie of its own. The machine's own RabbitMQ is
//! never touched.

mod certificates;
mod group;
mod node;
mod proxy;
mod slot;
mod version;

pub use certificates::Certificates;
pub use group::{Broker, PASSWORD, USER, VHOSTS};
pub use node::BrokerNode;
pub use proxy::Proxy;
pub(crate) use slot::root;
pub use version::Version;
