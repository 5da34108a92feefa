// What a server counts.

import QuorumProtocol
import QuorumTransport
import Synchronization

/// Counts since the server started.
package struct ServerCounters: Sendable, Equatable, Codable {
    package var requests: UInt64 = 0
    /// Those of them that came from servers, which verify.
    package var serverRequests: UInt64 = 0
    /// Refusals, by their names.
    package var refusals: [String: UInt64] = [:]
    /// Refusals as too many pending that carried the list of these versions, and those that did not: the client had
    /// been given lists lately, or none of the versions could be read.
    package var listsGiven: UInt64 = 0
    package var listsWithheld: UInt64 = 0
    /// Frames of authenticated peers that were no message of this cluster.
    package var malformedFrames: UInt64 = 0
    /// One-way messages of a type that this release does not know.
    package var ignoredMessages: UInt64 = 0
    /// Stored parts that no longer match their checksum, or that the disk did not give back.
    package var lostParts: UInt64 = 0
    /// How often the record of an object was wanted that is lost.
    package var lostRecords: UInt64 = 0
    /// Stored parts that could not be read at the moment.
    package var unreadableParts: UInt64 = 0
    /// Group commits, and the changes made durable by them.
    package var groupCommits: UInt64 = 0
    package var storedChanges: UInt64 = 0
    /// Signatures made, and the statements they cover.
    package var signatures: UInt64 = 0
    package var signedStatements: UInt64 = 0
    /// Objects that were read to verify their versions, and versions that were found to be poisonous.
    package var verifiedObjects: UInt64 = 0
    package var poisonousVersions: UInt64 = 0
    /// Bytes sent to servers and received from them for that and for repair, TLS included; what goes to and comes from itself counts
    /// too.
    package var verificationSentBytes: UInt64 = 0
    package var verificationReceivedBytes: UInt64 = 0
    /// What was brought here since it was wanted: descriptors, fragments of values of one stripe, stripes of large ones;
    /// those of which there is no good one for this server; and how often an object could not be repaired.
    package var repairedDescriptors: UInt64 = 0
    package var repairedFragments: UInt64 = 0
    package var repairedStripes: UInt64 = 0
    package var voidFragments: UInt64 = 0
    package var failedRepairs: UInt64 = 0
    /// Why, by the reason's name.
    package var repairFailures: [String: UInt64] = [:]
    /// Times that the table of wants was gone through from end to end and something was tried, and how long the last of
    /// them took.
    package var repairPasses: UInt64 = 0
    package var repairPassMilliseconds: UInt64 = 0
    /// Objects of which something was wanted when the table of wants was last gone through, those of them that could
    /// not be repaired and wait, and since when the oldest of them is wanted, in milliseconds since 1970; 0 for none.
    package var wants: UInt64 = 0
    package var failedWants: UInt64 = 0
    package var oldestWantMilliseconds: UInt64 = 0
    /// Objects whose certificate counts no more, since one of its servers has lost its memory, and that wait to have
    /// another one; and those that have got it.
    package var fencedVersions: UInt64 = 0
    package var restatedVersions: UInt64 = 0
    /// Meetings with other servers to compare what is committed, slots in which they differed, versions learned of in
    /// this way, and versions that were named and not proven.
    package var peerMeetings: UInt64 = 0
    /// Servers that have to be met yet before the wants that were counted are all that this server missed before its
    /// start.
    package var serversToMeet: UInt64 = 0
    package var differingSlots: UInt64 = 0
    package var learnedVersions: UInt64 = 0
    package var unprovenVersions: UInt64 = 0
    /// Objects that were read to see whether they are whole, bytes of their fragments, and parts that were damaged; and
    /// when all were last read, in milliseconds since 1970, 0 for never.
    package var scrubbedObjects: UInt64 = 0
    package var scrubbedBytes: UInt64 = 0
    package var scrubFindings: UInt64 = 0
    package var scrubEndMilliseconds: UInt64 = 0
    /// How long it takes to read them all, when that is longer than it is to take; otherwise 0.
    package var scrubNeedsMilliseconds: UInt64 = 0
    /// Stripes of which auditors were told.
    package var auditedStripes: UInt64 = 0
    /// Stripes that this server has audited; fragments of its own and of others that were wrong or missing then; and
    /// stripes of which nobody could say which fragments are right. And when it last was through, as for scrubbing.
    package var auditStripes: UInt64 = 0
    package var auditOwnFindings: UInt64 = 0
    package var auditFindings: UInt64 = 0
    package var auditInconclusive: UInt64 = 0
    package var auditEndMilliseconds: UInt64 = 0
    /// Files of evidence that this server has: of each a proof that another one lied.
    package var evidence: UInt64 = 0
    /// Requests that are not answered now, and changes that wait for the disk now.
    package var openRequests: UInt64 = 0
    package var waitingChanges: UInt64 = 0
    /// Requests that waited until nobody else's did, since too much had been spent on refusing others of the same
    /// principal.
    package var servedLast: UInt64 = 0
    /// What became of connections.
    package var connections = TransportCounters()
    /// What requests and answers hold of memory.
    package var memory = MemoryCounts()

    package init() {}
}

/// The counters of a running server, safe to use from any thread.
final class ServerStatistics: Sendable {
    private let counters = Mutex(ServerCounters())

    var snapshot: ServerCounters { counters.withLock { $0 } }

    func count(_ change: (inout ServerCounters) -> Void) {
        counters.withLock { change(&$0) }
    }

    func countRefusal(_ refusal: Refusal) {
        counters.withLock { counters in
            counters.refusals[refusal.name, default: 0] += 1
            guard case .tooManyPending(let versions) = refusal else { return }
            if versions.isEmpty { counters.listsWithheld += 1 } else { counters.listsGiven += 1 }
        }
    }
}
