//! Gates resolved: which address is asked, for which name, and what is expected, so that a probe decides
//! nothing and a release can be judged long after the repository moved on.

use std::net::{IpAddr, SocketAddr};

use tera::Context;

use super::engine::Engine;
use super::node::Inputs;
use crate::codes::components as codes;
use crate::component::Folder;
use crate::component::gates::{DnsGate, GateEntry, HttpGate, TlsGate, ZoneExpect};
use crate::finding::{Finding, Findings};
use crate::gate::{DnsExpect, Gate, HttpProbe, Probe};
use crate::ids::NodeName;
use crate::model::names::Label;
use crate::model::{Defined, Model, Node, Site, Zone, address_of, published_address};
use crate::yaml::{At, nearest};

/// A command gate that says nothing for so long has failed.
const COMMAND_TIMEOUT: u32 = 30;

/// A certificate that a person renews is to be in force for so long, or for a quarter of its life.
const USUAL_DAYS: u32 = 7;

pub(super) struct Gates<'a> {
    folder: &'a Folder,
    engine: &'a Engine,
    context: &'a Context,
    model: &'a Model,
    inputs: Inputs<'a>,
}

/// One probe in the making: what it is called, what it asks, and which nodes must be ready first.
type Found = (String, Probe, Vec<NodeName>);

impl<'a> Gates<'a> {
    pub(super) fn new(
        folder: &'a Folder,
        engine: &'a Engine,
        context: &'a Context,
        inputs: Inputs<'a>,
    ) -> Self {
        Self {
            folder,
            engine,
            context,
            model: inputs.model,
            inputs,
        }
    }

    pub(super) fn of_node(
        &self,
        name: &NodeName,
        node: &Defined<Node>,
    ) -> Result<Vec<Gate>, Findings> {
        let own = &self.folder.definition;
        let mut gates: Vec<Gate> = Vec::new();
        let mut findings = Findings::default();
        for (list, before, entries) in [("before", true, &own.before), ("gates", false, &own.gates)]
        {
            for (index, entry) in entries.iter().enumerate() {
                let resolver = Resolver {
                    gates: self,
                    node,
                    name,
                    prefix: format!("{list}[{index}]"),
                };
                match resolver.resolve(entry) {
                    Ok(found) => {
                        gates.extend(found.into_iter().map(|(label, probe, needs)| Gate {
                            label: format!("{}: {label} on {name}", own.name),
                            component: own.name.value.clone(),
                            probe,
                            hold: entry.hold.map_or(0, |hold| hold.get()),
                            deadline: entry.deadline.map(|deadline| deadline.get()),
                            scope: entry.scope,
                            needs,
                            before,
                        }))
                    }
                    Err(finding) => findings.push(finding.of(&own.name)),
                }
            }
        }
        if findings.is_empty() {
            let mut seen = std::collections::BTreeSet::new();
            gates.retain(|gate| seen.insert((gate.before, gate.label.clone())));
            return Ok(gates);
        }
        Err(findings)
    }
}

struct Resolver<'a> {
    gates: &'a Gates<'a>,
    node: &'a Defined<Node>,
    name: &'a NodeName,
    prefix: String,
}

impl Resolver<'_> {
    fn resolve(&self, entry: &GateEntry) -> Result<Vec<Found>, Finding> {
        let engine = self.gates.engine;
        if !engine.holds(&format!("{}.when", self.prefix), self.gates.context)? {
            return Ok(Vec::new());
        }
        if let Some(http) = &entry.http {
            return self.http(http);
        }
        if let Some(tls) = &entry.tls {
            return self.tls(tls);
        }
        if let Some(dns) = &entry.dns {
            return self.dns(dns);
        }
        if let Some(tcp) = &entry.tcp {
            let connect = self.socket(tcp.on.as_ref(), &tcp.port, tcp.port.get())?;
            let label = format!("{connect} is open");
            return Ok(vec![(label, Probe::Tcp { connect }, Vec::new())]);
        }
        if let Some(closed) = &entry.closed {
            let connect = self.socket(closed.on.as_ref(), &closed.tcp, closed.tcp.get())?;
            let label = format!("{connect} is closed");
            return Ok(vec![(label, Probe::Closed { connect }, Vec::new())]);
        }
        let run = engine.render(&format!("{}.command", self.prefix), self.gates.context)?;
        let line = run.lines().map(str::trim).find(|line| !line.is_empty());
        let label: String = line.unwrap_or_default().chars().take(60).collect();
        let timeout = COMMAND_TIMEOUT;
        Ok(vec![(label, Probe::Command { run, timeout }, Vec::new())])
    }

    fn unresolved<T>(&self, at: &At<T>, message: String) -> Finding {
        let place = self.gates.folder.place(at);
        Finding::error(codes::GATE_UNRESOLVED, message).at(place)
    }

    /// This node's address in the gate's network.
    fn address<T>(&self, network: Option<&At<Label>>, at: &At<T>) -> Result<IpAddr, Finding> {
        let model = self.gates.model;
        let (address, name) = match network {
            Some(network) => (address_of(self.node, network), network.as_str()),
            None => (
                published_address(model, self.name),
                model.cluster.edge.network.as_str(),
            ),
        };
        address.ok_or_else(|| {
            let message = format!("{} has no address in the network `{name}`", self.name);
            self.unresolved(at, message)
                .hint("give the gate `on:` with a network of the node, or a `when:`")
        })
    }

    fn socket<T>(
        &self,
        network: Option<&At<Label>>,
        at: &At<T>,
        port: u16,
    ) -> Result<SocketAddr, Finding> {
        Ok(SocketAddr::new(self.address(network, at)?, port))
    }

    fn unknown<'n>(
        &self,
        what: &str,
        at: &At<String>,
        known: impl Iterator<Item = &'n str>,
    ) -> Finding {
        let finding = self.unresolved(at, format!("there is no {what} `{at}`"));
        match nearest(at, known) {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None => finding.hint(format!("name a {what}, or `every`")),
        }
    }

    fn http(&self, gate: &HttpGate) -> Result<Vec<Found>, Finding> {
        if let Some(site) = &gate.site {
            let sites = &self.gates.model.sites;
            if site.as_str() != "every" && !sites.contains_key(site.as_str()) {
                return Err(self.unknown("site", site, sites.keys().map(|name| name.as_str())));
            }
            let wanted = |name: &str| site.as_str() == "every" || site.as_str() == name;
            let address = self.address(gate.on.as_ref(), site)?;
            let chosen = sites.iter().filter(|(name, _)| wanted(name.as_str()));
            return Ok(chosen
                .flat_map(|(_, site)| self.site_probes(gate, site, address))
                .collect());
        }
        let Some(at) = &gate.url else {
            return Ok(Vec::new());
        };
        let name = format!("{}.url", self.prefix);
        let url = self.gates.engine.render(&name, self.gates.context)?;
        let port = url_port(&url).ok_or_else(|| {
            self.unresolved(at, format!("{url:?} is not an http or https address"))
                .hint("write https://host/path")
        })?;
        let probe = HttpProbe {
            connect: self.socket(gate.on.as_ref(), at, port)?,
            status: gate.status.clone().unwrap_or_else(|| vec![200]),
            body: gate.body.clone(),
            verify: gate.verify,
            url: url.clone(),
        };
        Ok(vec![(url, Probe::Http(probe), Vec::new())])
    }

    fn tls(&self, gate: &TlsGate) -> Result<Vec<Found>, Finding> {
        let (model, at) = (self.gates.model, &gate.certificate);
        let every = at.as_str() == "every";
        if !every && !model.certificates.contains_key(at.as_str()) {
            let known = model.certificates.keys().map(|name| name.as_str());
            return Err(self.unknown("certificate", at, known));
        }
        let connect = self.socket(gate.on.as_ref(), at, gate.port.get())?;
        let inputs = self.gates.inputs;
        let materials = inputs.materials;
        let served = model.sites.values().flat_map(|site| inputs.secure(site));
        // What has expired is told elsewhere. Its own roll would be in vain, and every other one is not to suffer for it.
        let asked = served
            .filter(|(_, own)| every || *own == at.as_str())
            .filter(|(_, own)| !self.is_over(own));
        Ok(asked
            .map(|(host, own)| {
                let said = materials.said.get(own);
                let probe = Probe::Tls {
                    connect,
                    name: host.to_string(),
                    days_left: gate.days_left.unwrap_or_else(|| self.days_left(own)),
                    serial: said.map(|said| said.serial.clone()),
                };
                (format!("certificate for {host}"), probe, Vec::new())
            })
            .collect())
    }

    fn is_ordered(&self, certificate: &str) -> bool {
        let definition = self.gates.model.certificates.get(certificate);
        definition.is_none_or(|own| own.acme.is_some())
    }

    /// One that is ordered and has expired: until another one comes it is served as it is.
    fn is_over(&self, certificate: &str) -> bool {
        let said = self.gates.inputs.materials.said.get(certificate);
        self.is_ordered(certificate) && said.is_some_and(|said| said.expired)
    }

    /// For how many days a certificate must be in force at least. One that is ordered has the serial of the release, and is
    /// renewed by itself: that it is in force is enough, however short its life is.
    fn days_left(&self, certificate: &str) -> u32 {
        let said = self.gates.inputs.materials.said.get(certificate);
        let quarter = said.map(|said| said.lifetime.length().as_hours() / 24 / 4);
        match quarter {
            _ if self.is_ordered(certificate) => 0,
            Some(days) => u32::try_from(days).unwrap_or(0).min(USUAL_DAYS),
            None => USUAL_DAYS,
        }
    }

    fn site_probes(&self, gate: &HttpGate, site: &Site, address: IpAddr) -> Vec<Found> {
        let own = || {
            let status = site.health.status.iter();
            status.map(|status| status.value).collect()
        };
        let status: Vec<u16> = gate.status.clone().unwrap_or_else(own);
        let probes = site.hosts.iter().map(|host| {
            let certificate = self.gates.inputs.certificate(site, host);
            let (scheme, port) = match certificate {
                Some(_) => ("https", 443),
                None => ("http", 80),
            };
            let url = format!("{scheme}://{host}{}", site.health.path);
            let probe = HttpProbe {
                url: url.clone(),
                connect: SocketAddr::new(address, port),
                status: status.clone(),
                body: gate.body.clone(),
                verify: gate.verify && certificate.is_some_and(|own| !self.is_over(own)),
            };
            (url, Probe::Http(probe), Vec::new())
        });
        probes.collect()
    }

    fn dns(&self, gate: &DnsGate) -> Result<Vec<Found>, Finding> {
        if let (Some(name), Some(kind)) = (&gate.name, &gate.kind) {
            let probe = Probe::Dns {
                server: self.socket(gate.on.as_ref(), name, gate.port.get())?,
                name: name.value.clone(),
                rtype: kind.value.clone(),
                expect: DnsExpect::Answer(gate.answer.clone()),
            };
            return Ok(vec![(format!("{kind} of {name}"), probe, Vec::new())]);
        }
        let (Some(at), Some(expect)) = (&gate.zone, gate.expect) else {
            return Ok(Vec::new());
        };
        let zones = &self.gates.model.zones;
        if at.as_str() != "every" && !zones.contains_key(at.as_str()) {
            return Err(self.unknown("zone", at, zones.keys().map(|name| name.as_str())));
        }
        let mut found = Vec::new();
        for (name, zone) in zones {
            if at.as_str() == "every" || at.as_str() == name.as_str() {
                found.extend(self.zone(gate, at, name.as_str(), zone, expect)?);
            }
        }
        Ok(found)
    }

    /// A zone that this node serves; nothing where it does not.
    fn zone(
        &self,
        gate: &DnsGate,
        at: &At<String>,
        name: &str,
        zone: &Defined<Zone>,
        expect: ZoneExpect,
    ) -> Result<Option<Found>, Finding> {
        let model = self.gates.model;
        let primary = model.nodes_of(&zone.primary).into_iter().next();
        let is_primary = primary == Some(self.name);
        let is_dynamic = model.dynamic_zone().is_some_and(|own| own.as_str() == name);
        if !is_primary && !model.nodes_of(&zone.secondaries).contains(&self.name) {
            return Ok(None);
        }
        let (expect, needs) = match (expect, primary) {
            // One that changes with every order is behind for a moment, whoever serves it.
            (ZoneExpect::Serial, Some(primary)) if !is_primary && !is_dynamic => {
                let network = gate.on.as_ref();
                let node = model.nodes.get(primary);
                let address = match (network, node) {
                    (Some(network), Some(node)) => address_of(node, network),
                    _ => published_address(model, primary),
                };
                let address = address.ok_or_else(|| {
                    self.unresolved(at, format!("the primary {primary} has no address to ask"))
                })?;
                let primary_server = SocketAddr::new(address, gate.port.get());
                let expect = DnsExpect::Serial {
                    primary: primary_server,
                };
                (expect, vec![primary.clone()])
            }
            _ => (DnsExpect::Authoritative, Vec::new()),
        };
        let label = match expect {
            DnsExpect::Serial { .. } => format!("serial of {name}"),
            _ => format!("answers for {name}"),
        };
        let probe = Probe::Dns {
            server: self.socket(gate.on.as_ref(), at, gate.port.get())?,
            name: name.to_owned(),
            rtype: "SOA".to_owned(),
            expect,
        };
        Ok(Some((label, probe, needs)))
    }
}

/// The port that a URL means.
fn url_port(url: &str) -> Option<u16> {
    let (rest, usual) = match url.strip_prefix("https://") {
        Some(rest) => (rest, 443),
        None => (url.strip_prefix("http://")?, 80),
    };
    let host = rest.split(['/', '?', '#']).next()?;
    let after_host = host.rsplit_once(']').map_or(host, |(_, after)| after);
    match after_host.rsplit_once(':') {
        Some((_, port)) => port.parse().ok(),
        None if host.is_empty() => None,
        None => Some(usual),
    }
}

#[cfg(test)]
mod tests {
    use super::url_port;

    #[test]
    fn a_url_says_its_port() {
        assert_eq!(url_port("https://a.example/x:1"), Some(443));
        assert_eq!(url_port("http://a.example:8080/x"), Some(8080));
        assert_eq!(url_port("http://[::1]:81/"), Some(81));
        assert_eq!(url_port("http://[::1]/"), Some(80));
        assert_eq!(url_port("ftp://a.example/"), None);
        assert_eq!(url_port("https:///x"), None);
    }
}
