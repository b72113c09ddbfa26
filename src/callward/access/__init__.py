"""People, sign-in, what they may do, and the audit of what they did.

Objects of other rooms are opaque references here (`decision.ObjectRef`): this room knows who asks, never what a conversation is.
"""
