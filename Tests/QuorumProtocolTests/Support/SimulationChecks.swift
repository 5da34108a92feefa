// The simulation's side work: what clients have verified, what a script asks of a server directly, and how both are
// told.

import ErasureCode
import Fingerprint
import QuorumProtocol

extension Simulation {
    /// A line of the script's own in the transcript.
    func note(_ text: String) { transcript?.note(text) }

    /// Runs a part of the script of which the transcript says nothing.
    func quietly<Result>(_ part: () -> Result) -> Result {
        let wasPaused = transcript?.isPaused ?? false
        transcript?.isPaused = true
        defer { transcript?.isPaused = wasPaused }
        return part()
    }

    func check(
        _ certificate: Certificate, _ key: ObjectKey, from server: Position, _ session: Int
    ) -> Result<VerifiedCertificate, CertificateError> {
        let result = Result { () throws(CertificateError) in try group.verifier.verify(certificate, key: key) }
        if case .failure(let error) = result {
            recordRejection(
                "certificate of \(TranscriptNames.name(certificate.timestamp))", server, "\(error)", session)
        }
        return result
    }

    func check(
        _ bytes: SharedBytes, of crossChecksum: CrossChecksum, from server: Position, _ timestamp: Timestamp,
        _ session: Int
    ) -> Result<VerifiedFragment, FragmentVerificationError> {
        let result = Result { () throws(FragmentVerificationError) in
            try crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue))
        }
        if case .failure(let error) = result {
            recordRejection("fragment of \(TranscriptNames.name(timestamp))", server, "\(error)", session)
        }
        return result
    }

    private func recordRejection(_ what: String, _ server: Position, _ why: String, _ session: Int) {
        transcript?.client(
            name(session), "rejects \(TranscriptNames.name(server))'s \(what): \(TranscriptNames.letters(why))")
    }

    func recordLoss(of event: Event) {
        guard let transcript else { return }
        switch event {
        case .request(let server, let session, let request):
            transcript.request(of: name(session), to: server, TranscriptNames.text(request), arrow: "↛")
        case .reply(let session, let server, let reply) where sessions[session].isRunning:
            transcript.reply(of: server, to: name(session), TranscriptNames.text(reply), arrow: "↛")
        case .reply, .work, .completion, .writer, .reader: break
        }
    }

    /// Asks a server directly, past all clients' machines and all lies.
    @discardableResult
    func ask(_ server: Position, _ request: Request, as client: ClientID = .alice) -> Reply {
        transcript?.beginExchange()
        let reply = host(server).answer(request, from: .client(client))
        transcript?.endExchange(
            of: TranscriptNames.name(client), with: server, TranscriptNames.text(request), TranscriptNames.text(reply))
        return reply
    }
}
