//! A cluster's certificates as a person sees them, and what a person does about them: beside the worker, on its
//! machine, with its database and its folders. Guards against two things that would cost more than they seem: an
//! order repeated because a command did not know of the worker's, and a key that is seen on the way.

mod change;
mod desk;
mod sightings;
mod survey;
mod text;
mod view;

pub use change::{Imported, Trouble};
pub use desk::{Desk, Picture, issued, rolled};
pub use sightings::{Sighted, Sightings};
pub use survey::{Seen, judged, seen_from_outside, survey};
pub use text::{outside, table, whole};
pub use view::{CertificateView, DueView, InUse, Origin};
