// The protocol's messages as frames.

import QuorumWire

extension OutboundFrame {
    /// A frame that carries one message: its head, and its fragments as the body.
    package init(_ message: EncodedMessage) {
        self.init(head: message.headBuffer, body: message.fragmentBuffer)
    }
}
