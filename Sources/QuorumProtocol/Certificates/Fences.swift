// Which lives of servers count (docs/protocol.md, Rebuilding).
//
// A server whose durable state was begun anew has forgotten what it had signed. The operator's key list says so: it names
// the server's next incarnation. Whoever has that list counts no statement of an earlier one any more in what is not
// committed there yet. Lists have one order and never roll back, so all of a server's fences follow from one number.

/// The lowest incarnation of each server whose statements count.
package struct Fences: Hashable, Sendable {
    /// Of servers that are no more in their first life.
    private var incarnations: [NodeID: Incarnation] = [:]

    package init() {}

    package init(_ list: KeyList) {
        for entry in list.keys { raise(entry.node, to: entry.incarnation) }
    }

    /// Nothing before this life of the server counts from now on.
    mutating func raise(_ node: NodeID, to incarnation: Incarnation) {
        guard incarnation > self.incarnation(of: node) else { return }
        incarnations[node] = incarnation
    }

    /// The server's life that counts.
    package func incarnation(of node: NodeID) -> Incarnation { incarnations[node] ?? Incarnation(1) }

    /// The server's life that counts, if it is a later one than this.
    package func outliving(_ incarnation: Incarnation, of node: NodeID) -> Incarnation? {
        let counting = self.incarnation(of: node)
        return counting > incarnation ? counting : nil
    }

    package func counts(_ statement: SignedStatement) -> Bool {
        incarnations.isEmpty || statement.incarnation >= incarnation(of: statement.node)
            || isPlanted(.earlierLivesCounted)
    }

    /// A server whose statement in this certificate counts no more; nil when all of them count.
    package func fencedServer(in certificate: Certificate) -> NodeID? {
        guard !incarnations.isEmpty else { return nil }
        return certificate.statements.first { !counts($0) }?.node
    }

    /// Whether this is a server whose statement in this certificate counts no more.
    func isFenced(_ principal: Principal, in certificate: Certificate) -> Bool {
        guard case .server(let node) = principal else { return false }
        return certificate.statements.contains { $0.node == node && !counts($0) }
    }
}
