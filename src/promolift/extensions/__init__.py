"""Everything optional. Extensions may import the rest of promolift; nothing else imports an extension."""
