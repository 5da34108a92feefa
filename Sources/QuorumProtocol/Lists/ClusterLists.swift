// The three lists that a party knows.

/// One version of each list; they fit the configuration and each other.
package struct ClusterLists: Hashable, Sendable {
    package private(set) var addresses: SignedList<AddressList>
    package private(set) var keys: SignedList<KeyList>
    package private(set) var access: SignedList<AccessList>

    /// - Throws: when one is another cluster's, or they do not fit.
    package init(
        addresses: SignedList<AddressList>, keys: SignedList<KeyList>, access: SignedList<AccessList>,
        for configuration: Configuration
    ) throws(ListError) {
        self.addresses = addresses
        self.keys = keys
        self.access = access
        for (kind, cluster) in [
            (ListKind.addresses, addresses.cluster), (.keys, keys.cluster), (.access, access.cluster),
        ] where cluster != configuration.cluster {
            throw .foreignCluster(kind, cluster)
        }
        if let (kind, fault) = fault(for: configuration) { throw .unsound(kind, version: version(of: kind), fault) }
    }

    private func fault(for configuration: Configuration) -> (kind: ListKind, fault: ListFault)? {
        let reachable = Set(addresses.contents.servers.map(\.node))
        let keyed = Set(keys.contents.keys.map(\.node))
        for node in configuration.nodes {
            if !reachable.contains(node.id) { return (.addresses, .missing(node.id)) }
            if !keyed.contains(node.id) { return (.keys, .missing(node.id)) }
        }
        let servers = Dictionary(
            addresses.contents.servers.flatMap { server in server.pins.map { ($0, server.node) } },
            uniquingKeysWith: { first, _ in first })
        for client in access.contents.clients {
            if let node = servers[client.pin] {
                return (.access, .certificateOfServer(client: client.name, node))
            }
        }
        return nil
    }

    /// The version known of a list; 0 of what is no list.
    package func version(of kind: ListKind) -> UInt64 {
        switch kind {
        case .configuration: 0
        case .addresses: addresses.version
        case .keys: keys.version
        case .access: access.version
        }
    }

    /// The list of a kind; nil of what is no list.
    package func list(_ kind: ListKind) -> AnySignedList? {
        switch kind {
        case .configuration: nil
        case .addresses: .addresses(addresses)
        case .keys: .keys(keys)
        case .access: .access(access)
        }
    }

    /// Takes a list if it is newer than the one known.
    ///
    /// - Returns: whether it is; false when it is the one known.
    /// - Throws: why it is not taken: it is older, another one of the same version, or does not fit. Nothing has
    ///   changed.
    package mutating func take(_ offered: AnySignedList, for configuration: Configuration) throws(ListError) -> Bool {
        var addresses = addresses
        var keys = keys
        var access = access
        switch offered {
        case .addresses(let list):
            guard try list.isNewer(than: addresses) else { return false }
            addresses = list
        case .keys(let list):
            guard try list.isNewer(than: keys) else { return false }
            keys = list
        case .access(let list):
            guard try list.isNewer(than: access) else { return false }
            access = list
        }
        self = try ClusterLists(addresses: addresses, keys: keys, access: access, for: configuration)
        return true
    }

    /// Puts a list in the place of the one known, whatever its version: for a party that finds out that it has been
    /// shown another than the one that it went by before.
    package mutating func restore(_ list: AnySignedList) {
        switch list {
        case .addresses(let list): addresses = list
        case .keys(let list): keys = list
        case .access(let list): access = list
        }
    }
}
