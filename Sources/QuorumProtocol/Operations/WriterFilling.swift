// How a writer brings servers the stripes that they lack of the large version which it prepares (StripeFilling.swift):
// of its own, which keeps its timestamp that way, or of one that is finished. A write that began anew instead could
// leave the value behind twice, for later recoveries to commit with others' writes in between.

extension Writer {
    private var filling: StripeFilling? {
        switch phase {
        case .prepare: own.filling
        case .complete(let completion): completion.filling
        case .encode, .readTimestamp, .doubt, .commit, .finished: nil
        }
    }

    /// Whether stripes of this version are brought to servers.
    func isFilling(_ timestamp: Timestamp) -> Bool {
        switch phase {
        case .prepare: own.filling != nil && own.timestamp == timestamp
        case .complete(let completion): completion.filling != nil && completion.timestamp == timestamp
        case .encode, .readTimestamp, .doubt, .commit, .finished: false
        }
    }

    /// Runs a step of filling, and does what follows; nil where nothing is filled.
    @discardableResult
    mutating func fill<Result>(
        into effects: inout [Effect], _ step: (inout StripeFilling, inout [StripeFilling.Effect]) -> Result
    ) -> Result? {
        guard var filling else { return nil }
        var asked: [StripeFilling.Effect] = []
        let result = step(&filling, &asked)
        let timestamp: Timestamp
        switch phase {
        case .prepare:
            timestamp = own.timestamp
            own.filling = filling
        case .complete(var completion):
            timestamp = completion.timestamp
            completion.filling = filling
            phase = .complete(completion)
        case .encode, .readTimestamp, .doubt, .commit, .finished: return nil
        }
        for effect in asked where isFilling(timestamp) { perform(effect, of: timestamp, into: &effects) }
        return result
    }

    private mutating func perform(
        _ effect: StripeFilling.Effect, of timestamp: Timestamp, into effects: inout [Effect]
    ) {
        switch effect {
        case .send(let server, let request):
            effects.append(.send(server, request))
        case .verify(let server, let stripe, let crossChecksum, let bytes):
            effects.append(.verifyFragment(server, timestamp, stripe, crossChecksum, bytes))
        case .encode(let stripe, let crossChecksum, let fragments):
            effects.append(
                .reencode(
                    ReencodingJob(
                        timestamp: timestamp, stripe: stripe, crossChecksums: [crossChecksum],
                        fragments: [fragments], mode: parameters.mode)))
        case .filled(let server):
            resend(to: server, into: &effects)
        case .givenUp(let server):
            unfillable(server, into: &effects)
        }
    }

    /// An answer that only filling asks for.
    mutating func takeStaging(_ reply: Reply, of server: Position, into effects: inout [Effect]) {
        guard filling != nil else {
            // Late, unless nothing was ever filled.
            if !hasDetoured, preparation?.filling == nil { observations.misbehaviours[server] = .unexpectedReply }
            return
        }
        let isProgress = fill(into: &effects) { $0.take(reply, of: server, into: &$1) }
        if isProgress == true, case .complete(var completion) = phase {
            completion.reminders = 0
            phase = .complete(completion)
        }
    }
}
