// The protocol's messages as frames: here messages and connections meet, which know nothing of each other.

import QuorumProtocol
import QuorumTransport
import QuorumWire

extension OutboundFrame {
    /// A frame that carries one message: its head, and its fragments as the body.
    package init(_ message: EncodedMessage) {
        self.init(head: message.headBuffer, body: message.fragmentBuffer)
    }
}

extension ConnectionLimits {
    /// As large as the cluster's largest message demands.
    package init(_ parameters: ClusterParameters) {
        self.init(frameSizeBytesMax: WireLimits.frameSizeBytesMax(parameters))
    }
}
