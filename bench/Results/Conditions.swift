// What holds for a whole run, beside its settings.

import QuorumProtocol

/// The conditions of a run.
package struct Conditions: Sendable {
    /// What links servers and clients; nil for loopback.
    package var link: LinkRate?
    /// What every mode was measured without.
    package var without: Set<Optimisation>

    package init(link: LinkRate? = nil, without: Set<Optimisation> = []) {
        self.link = link
        self.without = without
    }
}
