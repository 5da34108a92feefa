// Making a client: its id, its key and certificate, and its home.

import Foundation
import QuorumProtocol
import QuorumTransport

/// What a client shall be.
package struct NewClient: Sendable {
    /// What clients get of which nothing else is said.
    package static var everything: Grant {
        guard let grant = Grant(bucket: Grant.everyBucket, rights: .all) else {
            preconditionFailure("all rights on every bucket are a grant")
        }
        return grant
    }

    package var name: String
    package var grants: [Grant]
    /// When its certificate begins to be valid; an hour ago allows for clocks that differ.
    package var validFrom = Date(timeIntervalSinceNow: -3600)
    /// When its certificate ends to be valid: after ten years.
    package var validUntil = Date(timeIntervalSinceNow: 10 * 365.25 * 86400)

    package init(name: String, grants: [Grant] = [everything]) {
        self.name = name
        self.grants = grants
    }

    init(name: String, grants: [Grant], validFrom: Date, validUntil: Date) {
        self.init(name: name, grants: grants)
        self.validFrom = validFrom
        self.validUntil = validUntil
    }

    /// Writes the home, which must not exist, and returns the client's entry for the access list.
    func write(to directory: String) throws(ConfigurationError) -> AccessEntry {
        let home = HomeFiles(directory)
        try HomeFiles.makeDirectory(home.directory)
        let identity = try home.makeIdentity(
            commonName: "solidus client \(name)".prefix(64).description, validFrom: validFrom, validUntil: validUntil)
        var random = SystemRandomNumberGenerator()
        let id = ClientID(high: random.next(), low: random.next())
        try TextFile.create(
            home.clientFile, "format = \(ClientHome.format)\nname = \"\(name)\"\nid = \"\(id)\"\n", mode: 0o644)
        return AccessEntry(name: name, id: id, pin: identity.pin.digest, grants: grants)
    }
}
