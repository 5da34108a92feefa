// Which lists a server goes by, for whoever made it look for newer ones.

import ClusterFiles

/// Versions of lists, and what was wrong with those that were not taken.
package struct ListReport: Sendable, Equatable, Codable {
    package let addresses: UInt64
    package let keys: UInt64
    package let access: UInt64
    package let complaints: [String]
    /// The certificate that the server shows.
    package let certificatePin: String

    init(_ cluster: ClusterDescription, complaints: [String], certificatePin: String) {
        addresses = cluster.lists.addresses.version
        keys = cluster.lists.keys.version
        access = cluster.lists.access.version
        self.complaints = complaints
        self.certificatePin = certificatePin
    }

    /// Whether the server goes by these lists or newer ones.
    package func covers(_ cluster: ClusterDescription) -> Bool {
        addresses >= cluster.lists.addresses.version && keys >= cluster.lists.keys.version
            && access >= cluster.lists.access.version
    }
}
