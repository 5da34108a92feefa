// How servers make a certificate count again that has a statement of an earlier life (docs/protocol.md, Rebuilding).

/// "This version has its quorum, and one of those who signed has forgotten it: sign that you have it, or get it."
package final class Restate: Equatable, Sendable {
    package let key: ObjectKey
    /// What is to be replaced.
    package let certificate: Certificate
    /// For a server that has nothing of the version.
    package let descriptor: SealedDescriptor?
    /// *Stored* statements on the version. f + 1 that count have a server that lacks the version get it.
    package let statements: [SignedStatement]

    package init(
        key: ObjectKey, certificate: Certificate, descriptor: SealedDescriptor? = nil,
        statements: [SignedStatement] = []
    ) {
        self.key = key
        self.certificate = certificate
        self.descriptor = descriptor
        self.statements = statements
    }

    package static func == (left: Restate, right: Restate) -> Bool {
        left === right
            || left.key == right.key && left.certificate == right.certificate && left.descriptor == right.descriptor
                && left.statements == right.statements
    }
}
