# The app on a CPU, for this machine only; open the address with the token that it prints:
#   docker build -t nasviz . && docker run --rm -p 127.0.0.1:8501:8501 -v nasviz-runs:/runs nasviz
# A smaller image, without CUDA libraries: --build-arg TORCH_INDEX=ADDRESS, the index that the install selector
# of PyTorch (Get started, Compute platform: CPU) names.
FROM python:3.11-slim

RUN apt-get update && apt-get install --yes --no-install-recommends graphviz && rm -rf /var/lib/apt/lists/*

ARG TORCH_INDEX=""
WORKDIR /build
COPY .ci/constraints.txt constraints.txt
COPY .streamlit .streamlit
COPY pages pages
COPY nasviz nasviz
COPY pyproject.toml README.md LICENSE app.py ./
RUN pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} --constraint constraints.txt ".[app]" \
    && rm -rf /build

RUN useradd --create-home nasviz && install --directory --owner nasviz --mode 700 /runs
USER nasviz
WORKDIR /home/nasviz
VOLUME /runs
EXPOSE 8501
# All addresses of the container: -p decides which of the machine's are served, and the token who is.
CMD ["nasviz", "app", "--address", "0.0.0.0", "--token", "auto", "--runs", "/runs", "--", "--server.headless", "true"]
