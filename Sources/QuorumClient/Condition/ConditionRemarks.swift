// What people are told of a server beside its state.

import QuorumTransport

extension ClusterCondition {
    /// Something that a server has said of itself, in words.
    struct Remark {
        let text: String
        /// Whether somebody has to do something about it.
        let isUrgent: Bool
    }
}

extension ClusterCondition.Status {
    var remarks: [ClusterCondition.Remark] {
        var remarks: [ClusterCondition.Remark] = []
        func add(_ text: String, isUrgent: Bool = false) { remarks.append(.init(text: text, isUrgent: isUrgent)) }
        for (what, reasons) in [("requests", refusals), ("connections", refusedConnections)] where !reasons.isEmpty {
            add(
                "refused \(what): "
                    + reasons.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        }
        if let rebuild, !rebuild.isRolledBack {
            let told =
                rebuild.answers
                ? "counts as faulty until it has everything back"
                : "enough others have listed \(rebuild.slotsDone) of \(rebuild.slots) slots"
            let missing = rebuild.serversMissing > 0 ? ", \(rebuild.serversMissing) servers have yet to tell all" : ""
            let open = rebuild.openVersions > 0 ? ", \(rebuild.openVersions) versions are open" : ""
            add("rebuilding its store (incarnation \(incarnation)): " + told + missing + open)
        }
        if serversToMeet > 0 {
            let others = serversToMeet == 1 ? "1 server" : "\(serversToMeet) servers"
            add("has to hear from \(others) yet what it has missed")
        }
        if wants > 0 {
            let failed = failedWants > 0 ? ", of which \(failedWants) cannot be had now" : ""
            add("lacks something of \(wants) objects, and brings it back" + failed)
        }
        if scrubNeedsSeconds > 0 {
            let tenths = Int64(clamping: UInt64((scrubNeedsSeconds / 8640).rounded()))
            add(
                "to read all that it has needs \(tenths / 10).\(tenths % 10) days, more than scrub_seconds allows",
                isUrgent: true)
        }
        let certificate = CertificateValidity(endSeconds: certificateEndSeconds)
        if let warning = certificate.warning(now: CertificateValidity.currentSecond()) {
            add("CERTIFICATE: " + warning, isUrgent: true)
        }
        if evidence > 0 {
            add(
                "has \(evidence) PROOFS that another server lied: solidus evidence list, in this one's home",
                isUrgent: true)
        }
        if lostParts > 0 { add("lost parts of objects: \(lostParts)") }
        return remarks
    }
}
