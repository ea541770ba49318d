"""The pages: frame, session, controls, and what each page shows. Light wing and Streamlit only."""
