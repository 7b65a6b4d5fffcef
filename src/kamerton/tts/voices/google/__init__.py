"""Google Cloud Text-to-Speech: audio of Chirp 3 HD voices as it is made, of other voices sentence by sentence."""
