//! HTTPS for sites, end to end: real machines, a real worker, a real certificate authority.

#[path = "https/by_itself.rs"]
mod by_itself;
#[path = "https/in_place.rs"]
mod in_place;
#[path = "https/losses.rs"]
mod losses;
#[path = "https/more_names.rs"]
mod more_names;
#[path = "https/new_site.rs"]
mod new_site;
#[path = "https/place.rs"]
mod place;
#[path = "https/renewal.rs"]
mod renewal;
#[path = "https/wildcard.rs"]
mod wildcard;
