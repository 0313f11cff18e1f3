"""gemini-cost-sim: what Gemini API traffic costs and how long its callers wait, before it is rolled out."""
