// What a server tells whoever watches it (docs/operations.md, Metrics).

import QuorumTransport
import QuorumWire

/// A moment of a server.
struct ServerMetrics {
    let node: Int
    let mode: String
    /// Nil when the store does not say in time how it is: its disk hangs.
    let status: ServerStatus?
    let counters: ServerCounters
    let latencies: [TimedRequest: LatencyHistogram]
    /// When the certificate of its connections ends, in seconds since 1970.
    let certificateEndSeconds: Int64

    var text: String {
        var text = MetricsText()
        addState(to: &text)
        addRequests(to: &text)
        addStorage(to: &text)
        addConnections(to: &text)
        return text.text
    }

    private func addState(to text: inout MetricsText) {
        text.add(
            "solidus_certificate_end_timestamp_seconds", .gauge,
            "When the certificate of the server's connections ends, since 1970.", Double(certificateEndSeconds))
        text.add(
            "solidus_storage_answers", .gauge, "1 when the store said in time how it is, 0 when its disk hangs.",
            status == nil ? 0 : 1)
        guard let status else { return }
        text.begin("solidus_info", .gauge, "What runs here; always 1.")
        text.sample(
            "solidus_info",
            [
                "version": status.version, "node": "\(node)", "epoch": "\(status.epoch)",
                "incarnation": "\(status.incarnation)", "mode": mode,
            ], 1)
        text.add(
            "solidus_uptime_seconds", .gauge, "Time since the server was ready.",
            Double(status.uptimeMilliseconds) / 1000)
        text.add(
            "solidus_list_version", .gauge, "Version of each list that the server goes by.", by: "list",
            [
                ("addresses", status.addressesVersion), ("keys", status.keysVersion), ("access", status.accessVersion),
            ])
        text.add("solidus_sessions", .gauge, "Sessions of clients and servers.", Double(status.sessions))
        text.begin("solidus_storage_state", .gauge, "1 for the state that the store is in.")
        for (name, state) in [("writable", ServerStatus.StorageState.writable), ("full", .full), ("failed", .failed)] {
            text.sample("solidus_storage_state", ["state": name], status.storage == state ? 1 : 0)
        }
        text.begin(
            "solidus_storage_bytes", .gauge,
            "Bytes that the journal holds, and that are free and kept back on its disk.")
        let sizes = [("used", status.usedBytes), ("free", status.freeBytes), ("reserved", status.reservedBytes)]
        for (name, bytes) in sizes { text.sample("solidus_storage_bytes", ["what": name], Double(bytes)) }
    }

    private func addRequests(to text: inout MetricsText) {
        text.add(
            "solidus_requests_total", .counter, "Requests that arrived, by who sent them.", by: "from",
            [("client", counters.requests - counters.serverRequests), ("server", counters.serverRequests)])
        let name = "solidus_request_duration_seconds"
        text.begin(name, .histogram, "Time from the arrival of a request that is not refused to its answer.")
        for request in TimedRequest.allCases {
            if let histogram = latencies[request] { text.sample(name, "request", request.rawValue, histogram) }
        }
        text.add(
            "solidus_refusals_total", .counter, "Requests that were refused, by reason.", by: "reason",
            counters.refusals.map { ($0.key, $0.value) })
        text.add(
            "solidus_open_requests", .gauge, "Requests that are not answered yet.", Double(counters.openRequests))
        text.add(
            "solidus_served_last_total", .counter,
            "Requests that waited until nobody else's did, since too much was spent on refusing their sender's.",
            Double(counters.servedLast))
        text.add(
            "solidus_malformed_frames_total", .counter,
            "Frames of listed peers that were no message of this cluster.", Double(counters.malformedFrames))
        text.add("solidus_signatures_total", .counter, "Signatures made.", Double(counters.signatures))
        text.add(
            "solidus_signed_statements_total", .counter, "Statements that signatures cover.",
            Double(counters.signedStatements))
        text.add(
            "solidus_verified_objects_total", .counter, "Objects that were read to verify their versions.",
            Double(counters.verifiedObjects))
        text.add(
            "solidus_poisonous_versions_total", .counter, "Versions that were found to be no value's encoding.",
            Double(counters.poisonousVersions))
        text.add(
            "solidus_verification_bytes_total", .counter, "Bytes moved to verify versions.", by: "direction",
            [("sent", counters.verificationSentBytes), ("received", counters.verificationReceivedBytes)])
    }

    private func addStorage(to text: inout MetricsText) {
        text.add(
            "solidus_group_commits_total", .counter, "Times that changes were made durable together.",
            Double(counters.groupCommits))
        text.add("solidus_stored_changes_total", .counter, "Changes made durable.", Double(counters.storedChanges))
        text.add(
            "solidus_waiting_changes", .gauge, "Changes that wait for the disk.", Double(counters.waitingChanges))
        text.add(
            "solidus_lost_parts_total", .counter,
            "Stored parts that fail their checksum or that the disk does not give back.", Double(counters.lostParts))
        text.add(
            "solidus_wants", .gauge,
            "Objects of which this server lacked something when it last went through them all.",
            Double(counters.wants))
        text.add(
            "solidus_failed_wants", .gauge, "Those of them that could not be repaired and wait.",
            Double(counters.failedWants))
        text.add(
            "solidus_oldest_want_timestamp_seconds", .gauge,
            "Since when the oldest of them is wanted, since 1970; 0 when nothing is.",
            Double(counters.oldestWantMilliseconds) / 1000)
        text.add(
            "solidus_repaired_total", .counter, "What was brought back, by what it is.", by: "part",
            [
                ("descriptor", counters.repairedDescriptors), ("fragment", counters.repairedFragments),
                ("stripe", counters.repairedStripes),
            ])
        text.add(
            "solidus_failed_repairs_total", .counter, "Times that an object could not be repaired.",
            Double(counters.failedRepairs))
        text.add(
            "solidus_repair_failures_total", .counter, "The same by reason; without room on the disk, too.",
            by: "reason",
            counters.repairFailures.map { ($0.key, $0.value) })
        text.add(
            "solidus_repair_passes_total", .counter,
            "Times that all that is wanted was gone through and something was tried.", Double(counters.repairPasses))
        text.add(
            "solidus_repair_pass_seconds", .gauge, "How long the last of them took.",
            Double(counters.repairPassMilliseconds) / 1000)
        text.add(
            "solidus_void_fragments_total", .counter,
            "Fragments of which there is no good one for this server, since their writer lied.",
            Double(counters.voidFragments))
        text.add(
            "solidus_evidence_files", .gauge, "Proofs in this server's home that another one lied.",
            Double(counters.evidence))
        text.add(
            "solidus_rebuild_phase", .gauge,
            """
            0 when this server is well; 1 while it asks others what it has forgotten, 2 until it has everything back, \
            3 when its store is an earlier state of what it was.
            """,
            Double(status?.rebuild.phase.rawValue ?? 0))
        text.add(
            "solidus_fenced_versions", .gauge,
            "Objects whose certificate counts no more and waits to be replaced, since a server has lost its memory.",
            Double(counters.fencedVersions))
        text.add(
            "solidus_restated_versions_total", .counter, "Those that have got another one, or were outranked.",
            Double(counters.restatedVersions))
        text.add(
            "solidus_peer_meetings_total", .counter, "Times that what is committed was compared with another server.",
            Double(counters.peerMeetings))
        text.add(
            "solidus_differing_slots_total", .counter, "Slots in which the two differed.",
            Double(counters.differingSlots))
        text.add(
            "solidus_learned_versions_total", .counter, "Versions that this server had missed and learned of then.",
            Double(counters.learnedVersions))
        text.add(
            "solidus_unproven_versions_total", .counter, "Versions that another server named then and did not prove.",
            Double(counters.unprovenVersions))
        text.add(
            "solidus_scrubbed_objects_total", .counter, "Objects that were read to see whether they are whole.",
            Double(counters.scrubbedObjects))
        text.add(
            "solidus_scrubbed_bytes_total", .counter, "Bytes of fragments that were read for that.",
            Double(counters.scrubbedBytes))
        text.add(
            "solidus_scrub_findings_total", .counter, "Parts that were damaged then.", Double(counters.scrubFindings))
        text.add(
            "solidus_scrub_end_timestamp_seconds", .gauge,
            "When all that is stored was last read from end to end, since 1970; 0 for never.",
            Double(counters.scrubEndMilliseconds) / 1000)
        text.add(
            "solidus_scrub_needs_seconds", .gauge,
            "Time that reading everything takes, when it is longer than `scrub_seconds`; otherwise 0.",
            Double(counters.scrubNeedsMilliseconds) / 1000)
        text.add(
            "solidus_audited_stripes_total", .counter, "Stripes of which this server told auditors the fingerprints.",
            Double(counters.auditedStripes))
        text.add(
            "solidus_audit_stripes_total", .counter, "Stripes that this server has audited.",
            Double(counters.auditStripes))
        text.add(
            "solidus_audit_own_findings_total", .counter,
            "Fragments of this server that were wrong or missing when it audited.", Double(counters.auditOwnFindings))
        text.add(
            "solidus_audit_findings_total", .counter, "Fragments of other servers that were wrong or missing then.",
            Double(counters.auditFindings))
        text.add(
            "solidus_audit_inconclusive_total", .counter,
            "Stripes of which too few fragments fitted together then to say which are right.",
            Double(counters.auditInconclusive))
        text.add(
            "solidus_audit_end_timestamp_seconds", .gauge,
            "When this server last audited its share, since 1970; 0 for not since its start.",
            Double(counters.auditEndMilliseconds) / 1000)
        text.add(
            "solidus_lost_records_total", .counter, "Times that an object's record was wanted that is lost.",
            Double(counters.lostRecords))
        text.add(
            "solidus_unreadable_parts_total", .counter, "Times that a stored part could not be read at the moment.",
            Double(counters.unreadableParts))
    }

    private func addConnections(to text: inout MetricsText) {
        text.add(
            "solidus_connections_accepted_total", .counter, "Connections that TCP accepted.",
            Double(counters.connections.acceptedConnections))
        text.add(
            "solidus_connections_refused_total", .counter, "Connections that were refused or dropped, by reason.",
            by: "reason", counters.connections.refusalsByReason.map { ($0.key, $0.value) })
        text.begin(
            "solidus_message_memory_bytes", .gauge, "Bytes that requests and answers hold, and may hold, of memory.")
        let memory = counters.memory
        for (name, bytes) in [
            ("budget", memory.budgetBytes), ("held", memory.heldBytes), ("most", memory.mostHeldBytes),
        ] {
            text.sample("solidus_message_memory_bytes", ["what": name], Double(bytes))
        }
        text.add(
            "solidus_memory_pauses_total", .counter,
            "Times that a connection was not read from since its share of memory was used up.", Double(memory.pauses))
        text.add(
            "solidus_dropped_answers_total", .counter, "Answers for which their receiver's share had no room.",
            Double(memory.droppedAnswers))
    }
}
